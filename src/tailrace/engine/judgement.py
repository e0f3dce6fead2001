"""A write whose condition takes long: it is judged in slices, and holds for the item that it was judged on.

Rules of this file: nothing is written here. Between two slices others may write: then it is judged anew, and
after a few times at once, so that it comes to an end. Called by `engine.engine`. Stands alone because it is
the only write that takes more than one turn.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import orjson

from tailrace.engine.catalog import TableState
from tailrace.engine.slices import Slices
from tailrace.expressions import judging
from tailrace.tables.mutate import Operation, condition_failed, without_condition
from tailrace.values.types import Item

MANY_OPERATORS: Final = 8
"""A condition of fewer is judged at once on any item."""
TRIES: Final = 3
Stored: TypeAlias = tuple[TableState, bytes | None]
FindStored: TypeAlias = Callable[[Operation], Stored]
"""The table that an operation is about, and the bytes of the item."""


def takes_long(operation: Operation, stored: FindStored) -> bool:
    """Whether the condition is to be judged in slices. Raises: ApiError for a place that is none."""
    condition = operation.condition
    if condition is None or condition.prepared.operators < MANY_OPERATORS:
        return False
    _, data = stored(operation)
    size = len(data or b"") + judging.weight_of(condition.values)
    return judging.judging_work(condition, size) > judging.HEAVY_WORK


def judged(operation: Operation, stored: FindStored) -> Slices[Operation]:
    """The operation without its condition, once that was judged, in slices if it takes long, and holds.

    Guarantee: the item is still the one that it was judged on; else the condition is still there. Raises:
               ApiError.
    """
    for _ in range(TRIES):
        condition = operation.condition
        if condition is None or not takes_long(operation, stored):
            return operation
        table, data = stored(operation)
        old: Item | None = None if data is None else orjson.loads(data)
        holds = yield from judging.judged(condition, old or {})
        now = stored(operation)
        if now[0] is table and now[1] == data:
            if not holds:
                raise condition_failed(old if operation.return_old_on_failure else None)
            return without_condition(operation)
    return operation
