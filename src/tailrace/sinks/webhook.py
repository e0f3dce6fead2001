"""An HTTP endpoint as a sink: one signed POST a value or change.

Theory of operation: the headers are those of Standard Webhooks: `webhook-id` is the event id, so a receiver
that has seen it answers without doing it again; `webhook-signature` is an HMAC of id, time and body, so
no other sender can make one. Items are posted side by side, the changes of one item one after the other.
Rules of this file: 429, 502, 503, 504, no connection, and 401 and 407, which are about us, are an outage and
use up no attempt; every other answer than 2xx is the message's fault, for good with 413 and 415, and so is no
answer in time. Declared as `sinks.Webhook(…)`, called through `app.sink` and, to tell alerts, `app.alerts`.
"""

import asyncio
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tailrace.app.sinking import AlwaysOpen
from tailrace.errors import SettingsError, Throttled, Unavailable
from tailrace.ports import Clock, Failure, FailureKind, Outcome, RecordBatch
from tailrace.sinks.intercepting import KEEPER, Keep, ServiceCall, missing_extra
from tailrace.sinks.messages import Failures, Message, by_key, sendable

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

OUTAGES: Final = frozenset((502, 503, 504))
TOO_MANY: Final = 429
WHO_ARE_YOU: Final = frozenset((401, 407))
CHECK_SECRET: Final = "check secret= and headers= of sinks.Webhook, and this machine's clock"
LARGEST_BODY: Final = 1 << 20
FOR_GOOD: Final = frozenset((413, 415))
"""The body is too large, or of a kind that is not taken: answers that a repetition cannot change."""
WORDS: Final = 500
"""So much of a refusing answer is kept. Units: characters."""
SECRET: Final = "whsec_"


@dataclass(slots=True)
class Webhook(AlwaysOpen):
    """An address that takes POSTs.

    Shape:   `secret` signs, as text or as Standard Webhooks writes it (`whsec_…`, base64); None: no
             signature. `headers` are sent with every POST; `parallel` items are posted at once; a body above
             `most_bytes` is not posted.
    Units:   timeout in seconds, for one POST.
    """

    url: str
    secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 15.0
    parallel: int = 8
    most_bytes: int = LARGEST_BODY
    clock: Clock | None = field(default=None, repr=False, compare=False)
    """Whose time is signed: that of the running app. Without one it is the time of the change."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise SettingsError(f"webhook: {self.url!r} is not allowed; it begins with https:// or http://")
        if self.secret is not None:
            _ = self._key

    async def open(self, clock: Clock) -> None:
        """Sign this clock's time from now on."""
        self.clock = clock

    @property
    def _key(self) -> bytes:
        secret = self.secret or ""
        if not secret.startswith(SECRET):
            return secret.encode()
        try:
            return b64decode(secret.removeprefix(SECRET), validate=True)
        except ValueError as error:
            raise SettingsError("webhook: what follows whsec_ in the secret is no base64") from error

    @property
    def keys_at_once(self) -> int:
        """So many items are posted side by side."""
        return self.parallel

    @property
    def tells_repeats(self) -> bool:
        """Whether a receiver can tell a repeated message: by its `idempotency-key`."""
        return True

    async def write(self, batch: RecordBatch) -> Outcome:
        """Post every message."""
        if (keep := KEEPER.get()) is not None:
            return self._keep_messages(batch, keep)
        try:
            from aiohttp import ClientSession, ClientTimeout
        except ImportError as error:
            raise missing_extra("sinks.Webhook", "webhook") from error

        failures = Failures()
        groups = by_key(list(sendable(batch, failures, self.most_bytes, "a webhook")))
        gate = asyncio.Semaphore(self.parallel)
        async with ClientSession(timeout=ClientTimeout(total=self.timeout)) as session:

            async def post_in_order(messages: list[Message]) -> None:
                for message in messages:
                    async with gate:
                        failure = await self._post(session, message)
                    if failure is not None:
                        failures.add(message, failure)
                        return

            await asyncio.gather(*map(post_in_order, groups))
        return failures.outcome

    async def tell(self, id: str, subject: str, body: bytes) -> None:
        """Post one notice of an alert; its subject is the `text` in it. Raises: Throttled, Unavailable,
        SinkError.
        """
        headers = self._headers(id, body, self.clock.now().wall_ms if self.clock else 0)
        if (keep := KEEPER.get()) is not None:
            keep(ServiceCall("webhook", "post", {"url": self.url, "headers": headers, "body": body}))
            return
        try:
            from aiohttp import ClientSession, ClientTimeout
        except ImportError as error:
            raise missing_extra("sinks.Webhook", "webhook") from error

        async with ClientSession(timeout=ClientTimeout(total=self.timeout)) as session:
            failure = await self._send(session, body, headers)
        if failure is not None:
            is_throttled = failure.kind is FailureKind.THROTTLED
            raised = Throttled if is_throttled else Unavailable
            raise raised(failure.error, retry_after=failure.retry_after_ms / 1_000)

    def _keep_messages(self, batch: RecordBatch, keep: Keep) -> Outcome:
        """Give every message to the keeper of the context."""
        failures = Failures()
        for message in sendable(batch, failures, LARGEST_BODY, "a webhook"):
            parameters = {"url": self.url, "headers": self.headers_of(message), "body": message.body}
            keep(ServiceCall("webhook", "post", parameters))
        return failures.outcome

    async def _post(self, session: "ClientSession", message: Message) -> Failure | None:
        return await self._send(session, message.body, self.headers_of(message))

    async def _send(
        self, session: "ClientSession", body: bytes, headers: Mapping[str, str]
    ) -> Failure | None:
        from aiohttp import ClientError

        try:
            async with session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer:
                return None if answer.ok and answer.status < 300 else await self._refusal(answer)
        except TimeoutError:
            return Failure(FailureKind.TIMEOUT, f"{self.url}: no answer within {self.timeout:g} s")
        except (ClientError, OSError) as error:
            return Failure(FailureKind.UNAVAILABLE, f"{self.url}: {type(error).__name__}: {error}")

    def headers_of(self, message: Message) -> dict[str, str]:
        """The headers of one POST."""
        wall_ms = self.clock.now().wall_ms if self.clock else message.record.created_ms
        return self._headers(message.id, message.body, wall_ms)

    def _headers(self, id: str, body: bytes, wall_ms: int) -> dict[str, str]:
        seconds = str(wall_ms // 1_000)
        headers = {
            "content-type": "application/json",
            "idempotency-key": id,
            "webhook-id": id,
            "webhook-timestamp": seconds,
            **self.headers,
        }
        if self.secret is not None:
            signed = b"%b.%b.%b" % (id.encode(), seconds.encode(), body)
            digest = hmac.new(self._key, signed, sha256).digest()
            headers["webhook-signature"] = f"v1,{b64encode(digest).decode()}"
        return headers

    async def _refusal(self, answer: "ClientResponse") -> Failure:
        words = (await answer.text(errors="replace"))[:WORDS].strip()
        text = f"{self.url} answered {answer.status} {answer.reason or ''}".rstrip() + (
            f": {words}" if words else ""
        )
        wait_ms = self._wait_ms(answer.headers.get("retry-after", ""))
        if answer.status == TOO_MANY:
            return Failure(FailureKind.THROTTLED, text, retry_after_ms=wait_ms)
        if answer.status in WHO_ARE_YOU:
            return Failure(FailureKind.UNAVAILABLE, f"{text}\n  next: {CHECK_SECRET}", retry_after_ms=wait_ms)
        if answer.status in OUTAGES:
            return Failure(FailureKind.UNAVAILABLE, text, retry_after_ms=wait_ms)
        return Failure(FailureKind.RECORD, text, retry_after_ms=wait_ms, final=answer.status in FOR_GOOD)

    def _wait_ms(self, text: str) -> int:
        """Retry-After: seconds, or a date."""
        if text.isdecimal():
            return int(text) * 1_000
        try:
            until_ms = round(parsedate_to_datetime(text).timestamp() * 1_000)
        except ValueError:
            return 0
        return max(0, until_ms - self.clock.now().wall_ms) if self.clock else 0
