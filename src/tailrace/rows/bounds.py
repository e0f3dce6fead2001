"""How much one transaction of state may be, and how what is more than that is parted.

Theory of operation: every store hands what it is given to `bounded` first, so that a transaction which
DynamoDB would refuse is refused everywhere: in memory, in a data directory, in the simulation. What needs no
atomicity goes in `slices`; what needs it is bounded where it is made, and says so there.
Rules of this file: pure; the numbers are AWS's for TransactWriteItems (100 actions, 4,194,304 bytes, 409,600
bytes an item), less what keys and expressions take. Called by the stores and by whatever writes rows. Source:
docs/decisions/0058-transactions-that-fit.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from tailrace.errors import InternalError
from tailrace.rows.writes import Check, Write

MOST_ROWS: Final = 100
"""Of one transaction."""
MOST_BYTES: Final = 300_000
"""Of a row's fields in one item of DynamoDB's, and of the pieces in which more is kept."""
MOST_TOGETHER: Final = 3_000_000
"""Of the fields of all rows of a transaction that stand in their items."""
SLICE: Final = 90
"""Rows of a slice: there is room for fences beside it, and for what a store adds where rows are large."""

Row = TypeVar("Row")


def bounded(writes: Sequence[object]) -> None:
    """See that one transaction takes these writes: at most 100 rows and writes to tables, a row that is named
    twice counts once; 99 when some of it is kept in pieces.

    Raises: InternalError when they are more: whoever made them has no bound. Nothing may have been written.
    """
    if len(writes) < MOST_ROWS:
        return
    last = {write.key: write for write in writes if isinstance(write, Write | Check)}
    count = len(last) + sum(not isinstance(write, Write | Check) for write in writes)
    if count < MOST_ROWS or (count == MOST_ROWS and not _has_pieces(last.values())):
        return
    kinds = sorted({key.partition("/")[0] for key in last})
    most = MOST_ROWS if count > MOST_ROWS else MOST_ROWS - 1
    raise InternalError(f"a transaction of {count} rows ({', '.join(kinds)}), of which {most} are the most")


def slices(rows: Sequence[Row], most: int = SLICE) -> Iterator[tuple[Row, ...]]:
    """These in their order, so many at a time: for what may be written one after the other.

    >>> list(slices([1, 2, 3], 2))
    [(1, 2), (3,)]
    """
    for start in range(0, len(rows), most):
        yield tuple(rows[start : start + most])


def _has_pieces(writes: Iterable[Write | Check]) -> bool:
    """Whether DynamoDB keeps some of these rows in pieces: as `chosen_large` of stores/dynamodb_parts.py."""
    sizes = [
        len(msgspec.json.encode(write.fields))
        for write in writes
        if isinstance(write, Write) and write.fields is not None
    ]
    return max(sizes, default=0) > MOST_BYTES or sum(sizes) > MOST_TOGETHER
