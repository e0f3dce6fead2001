"""Texts that clients of data streams hold: shard iterators and the tokens of lists.

Rules of this file: each is a position, not a cursor with state, and expires after five minutes. Layouts:
docs/formats/tokens.md. Source: semantics §5.2; fleet §4.1.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from tailrace.errors import ApiError
from tailrace.streams.iterators import expired_iterator, sealed, unsealed
from tailrace.streams.kinesis.shard_filters import DataShardFilter

DATA_FORMAT: Final = 2
"""What a client of a table's stream may have got is of format 1."""
ITERATOR_LIFE_MS: Final = 300_000
TOKEN_LIFE_MS: Final = 300_000
ListKind: TypeAlias = Literal["streams", "shards", "consumers"]
INVALID: Final = "InvalidArgumentException"


class DataIterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard of a data stream: the next record is the first one after `after`.

    Shape:   `shard` is the engine's number: a stream that is made anew under its name has others.
    Units:   created_ms since the epoch.
    """

    stream_arn: str
    shard: int
    after: int
    created_ms: int
    format: int = DATA_FORMAT

    @property
    def text(self) -> str:
        """What clients hold."""
        return sealed(self)


class ListToken(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on: behind `after`. Units: created_ms since the epoch.

    Shape:   `of` is the ARN of the stream whose shards or consumers are listed; `filter` is what chose them.
    """

    kind: ListKind
    of: str
    after: str
    created_ms: int
    filter: DataShardFilter | None = None
    format: int = DATA_FORMAT

    @property
    def text(self) -> str:
        """What clients hold."""
        return sealed(self)


def read_data_iterator(text: str, wall_ms: int) -> DataIterator:
    """The iterator behind a text. Raises: ApiError (InvalidArgumentException, ExpiredIteratorException)."""
    iterator = unsealed(text, DataIterator)
    if iterator is None or iterator.format != DATA_FORMAT:
        raise ApiError(INVALID, "Invalid ShardIterator.")
    if wall_ms - iterator.created_ms > ITERATOR_LIFE_MS:
        raise expired_iterator(iterator.created_ms, wall_ms, ITERATOR_LIFE_MS)
    return iterator


def read_list_token(text: str, kind: ListKind, wall_ms: int) -> ListToken:
    """The token behind a text. Raises: ApiError (InvalidArgumentException, ExpiredNextTokenException)."""
    token = unsealed(text, ListToken)
    if token is None or token.kind != kind or token.format != DATA_FORMAT:
        raise ApiError(INVALID, "NextToken is invalid.")
    if wall_ms - token.created_ms > TOKEN_LIFE_MS:
        raise ApiError(
            "ExpiredNextTokenException",
            f"NextToken has expired: it was made more than {TOKEN_LIFE_MS // 1_000} seconds ago.",
        )
    return token
