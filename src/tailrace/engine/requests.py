"""Requests made under a ClientRequestToken: a repeated one is answered and not done again.

Rules of this file: a token is kept in the same commit as what its request wrote, so that it holds over a
restart exactly when the writes do. What a request says is compared by digest; the digest's maker decides what
counts as equal. Beside each token stands a row in the order of expiry, so that forgetting costs what is
forgotten. Called by `engine.engine` and `engine.expiry`.
Source: semantics §6.9. Layout: docs/formats/catalog.md.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tailrace.engine.catalog import Namespace
from tailrace.engine.committer import Committer
from tailrace.engine.documents import TOKENS, RequestDocument, decode
from tailrace.errors import ApiError
from tailrace.ports import Clock

VALID_MS: Final = 10 * 60 * 1_000
"""How long a token stands for its request, after the request was done. Source: semantics §6.9."""
BY_TOKEN: Final = b"token/"
BY_EXPIRY: Final = b"until/"
MARK: Final = b'{"v":1}'


class Requests:
    """Tokens of one namespace; its tables and all operations share them."""

    def __init__(self, namespace: Namespace, committer: Committer, clock: Clock) -> None:
        self.under_way: set[str] = set()
        """Tokens of requests that are being done in slices: the same one waits."""
        # Longer than any token of the default namespace, so that the two cannot be one.
        self._before = (
            "" if namespace.is_default else f"arn:aws:dynamodb:{namespace.region}:{namespace.account}:"
        )
        self._committer = committer
        self._clock = clock

    def done(self, token: str, digest: str) -> Mapping[str, float] | None:
        """What the answer to a repeated request tells, None for a request that is still to be done.

        Shape:   read units by table. Raises: ApiError IdempotentParameterMismatchException.
        """
        document = self._find(BY_TOKEN + (self._before + token).encode())
        if document is None or document.until_ms <= self._clock.now().wall_ms:
            return None
        if document.digest != digest:
            raise ApiError(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request. Do "
                "not reuse a client "
                "token with different requests, unless the requests are identical",
            )
        return document.read_units

    def keep(self, token: str, digest: str, read_units: Mapping[str, float] | None) -> None:
        """Let the token stand for this request; without units the request was cancelled and may be tried
        again.
        """
        until_ms = self._clock.now().wall_ms + VALID_MS
        document = RequestDocument(digest, until_ms, None if read_units is None else dict(read_units))
        key = (self._before + token).encode()
        self._committer.put_row(TOKENS, BY_TOKEN + key, msgspec.json.encode(document))
        self._committer.put_row(TOKENS, _expiry_key(until_ms) + key, MARK)

    def forget_expired(self, rows: int) -> Iterator[None]:
        """Remove what has expired, at most `rows` tokens a slice."""
        last = _expiry_key(self._clock.now().wall_ms + 1)
        while expired := self._committer.query(TOKENS, BY_EXPIRY, last, rows):
            for key, _ in expired:
                self._committer.put_row(TOKENS, key, None)
                self._forget(BY_TOKEN + key[len(last) :])
            yield

    def _forget(self, key: bytes) -> None:
        """A token that was used again since has a later row of its own."""
        document = self._find(key)
        if document is not None and document.until_ms <= self._clock.now().wall_ms:
            self._committer.put_row(TOKENS, key, None)

    def _find(self, key: bytes) -> RequestDocument | None:
        data = self._committer.get(TOKENS, key)
        return None if data is None else decode(key, data, RequestDocument)


def _expiry_key(until_ms: int) -> bytes:
    return BY_EXPIRY + until_ms.to_bytes(8, "big")
