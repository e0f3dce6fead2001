"""A function as a sink: it is called with each value, or with each change document.

Rules of this file: what it raises is that record's failure; a coroutine runs on the loop, any other function
in a thread. The changes of one item are handed over one after the other. Declared as `sinks.Function(…)`,
called through `app.sink`. Stands alone as every sink that is declared does: one is loaded without the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tailrace.app.sinking import AlwaysOpen
from tailrace.ports import Outcome, RecordBatch
from tailrace.sinks.calling import RAISED, caller, failure_of, is_ours
from tailrace.sinks.documents import change_document
from tailrace.sinks.messages import Failures


@dataclass(frozen=True, slots=True)
class Function(AlwaysOpen):
    """A function of one argument."""

    function: Callable[[Any], Any]

    async def write(self, batch: RecordBatch) -> Outcome:
        """Call it for every value or change, in order."""
        failures, call = Failures(), caller(self.function)
        for place, record in enumerate(batch.records):
            if failures.holds_back(record):
                continue
            value = change_document(record, batch.stream) if batch.values is None else batch.values[place]
            try:
                await call(value)
            except RAISED as error:
                if is_ours(error):
                    raise
                failures.add_record(place, record, failure_of(error))
        return failures.outcome
