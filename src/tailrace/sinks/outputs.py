"""What a handler returned, on its way to the handler's sink: the two are one attempt.

Rules of this file: a value is written after its handler returned and its transaction was committed; what the
sink refuses failed as if the handler had, and is handled again. None is no output. Called by function.py.
"""

import logging
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from tailrace.app.sinking import Writes, whole
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch, Written

LOG: Final = logging.getLogger("tailrace.handlers")


class Outputs:
    """The outputs of one mapping. Shape: `sink` is None for a handler that has none."""

    def __init__(self, mapping_id: str, sink: Writes | None) -> None:
        self._mapping_id = mapping_id
        self._sink = None if sink is None else whole(sink)
        self._is_logged = False

    def nowhere(self, value: object) -> None:
        """Say once that a handler returns values that nothing is done with."""
        if not self._is_logged:
            self._is_logged = True
            LOG.warning(
                "%s returned %s, and it has no sink: app.sink(%s, …) writes what it returns; a "
                "handler that returns "
                "nothing returns None",
                self._mapping_id,
                type(value).__name__,
                self._mapping_id,
            )

    async def open(self, clock: Clock) -> None:
        """Open the sink, if there is one."""
        if self._sink is not None:
            await self._sink.open(clock)

    async def close(self) -> None:
        """As a sink; nothing without one."""
        if self._sink is not None:
            await self._sink.close()

    async def write(self, batch: RecordBatch, values: Mapping[int, object]) -> Mapping[int, Failure]:
        """Write these values, by their record's index. Returns: what failed. Raises: PortError."""
        if not values:
            return {}
        if self._sink is None:
            self.nowhere(next(iter(values.values())))
            return {}
        places = sorted(values)
        value_batch = replace(
            batch,
            records=[batch.records[place] for place in places],
            values=tuple(values[place] for place in places),
        )
        return _failures(await self._sink.write(value_batch), places)


def _failures(outcome: Outcome, places: list[int]) -> dict[int, Failure]:
    match outcome:
        case Written():
            return {}
        case FailedFrom(index, failure):
            return dict.fromkeys(places[index:], failure)
        case Failed(_, whole) if whole is not None:
            return dict.fromkeys(places, whole)
        case Failed(failures):
            return {places[index]: failure for index, failure in failures.items()}
