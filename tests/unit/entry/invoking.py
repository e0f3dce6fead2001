"""Batches as Lambda sends them, and an app in one process that is called with them, on a loop that a seed
reproduces.
"""

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tailrace.app.app import App
from tailrace.clocks.manual import ManualClock
from tailrace.entry.delivering import BatchAnswer, deliver
from tailrace.entry.redriving import RedriverEvent, ScheduledRedrives
from tailrace.entry.sandbox import Sandbox
from tailrace.errors import StateConflict
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.rows.writes import holds
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing.loop import SeededLoop

T = TypeVar("T")
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
FIRST = 800_000_000_003_126_276_362
"""AWS's own numbers have as many digits."""
MINUTE_MS = 60_000
LOOPS: list[SeededLoop] = []
"""Those of all processes of this test."""


def event_record(number: int, key: str, arn: str = ARN, **members: Any) -> dict[str, Any]:
    """One record of an event: a change that puts `n` to its number."""
    keys = {"id": {"S": key}}
    return {
        "eventID": f"{number:032x}", "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-1", "eventSourceARN": arn,
        "dynamodb": {
            "ApproximateCreationDateTime": 1_767_225_600.0, "Keys": keys,
            "NewImage": {**keys, "n": {"N": str(number)}},
            "SequenceNumber": str(FIRST + number), "SizeBytes": 20, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        **members,
    }  # fmt: skip


def event_of(*keys: str, first: int = 1) -> dict[str, Any]:
    """An event with one record a key, numbered from `first`."""
    return {"Records": [event_record(number, key) for number, key in enumerate(keys, first)]}


def identifier(number: int) -> dict[str, Any]:
    """An answer that says Lambda is to go on with this record."""
    return {"batchItemFailures": [{"itemIdentifier": str(FIRST + number)}]}


DONE: Mapping[str, Any] = {"batchItemFailures": []}


class TablesInMemory(MemoryStateStore):
    """State beside users' items: `written` are the items that transactions put, in order. `faults` are raised
    first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Mapping[str, Any]] = []
        self.faults: list[Exception] = []
        self.transactions: list[Sequence[Action]] = []

    async def transact(self, writes: Sequence[Action]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        rows = [action for action in writes if not isinstance(action, ItemWrite)]
        for index, write in enumerate(writes):
            if not isinstance(write, ItemWrite) and not holds(write.condition, self._fields(write.key)):
                raise StateConflict(f"{write.key}: {write.condition}", index=index)
        await super().transact(rows)
        self.transactions.append(writes)
        self.written += [action.parameters for action in writes if isinstance(action, ItemWrite)]

    def keys(self, kind: str) -> list[str]:
        """The keys of all rows of a kind."""
        return sorted(key for key in self._rows if key.startswith(f"{kind}/"))


class Process:
    """One process of a function. Shape: another one with the same state and clock is what Lambda starts when
    it is gone.
    """

    def __init__(
        self, app: App, state: StateStore | None = None, clock: ManualClock | None = None, seed: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or ManualClock()
        self.loop = SeededLoop(seed, self.clock)
        LOOPS.append(self.loop)
        self.state = state
        self.sandbox = Sandbox(app, state, self.clock, f"process-{seed}", environment or {})
        self.redrives = ScheduledRedrives(self.sandbox)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns."""
        return self.loop.run_until_complete(work)

    def answer(self, event: Any, remaining_ms: int = MINUTE_MS) -> BatchAnswer:
        """What came of a batch."""
        return self.run(deliver(self.sandbox, event, remaining_ms))

    def __call__(self, event: Any, remaining_ms: int = MINUTE_MS) -> Mapping[str, Any]:
        """What Lambda is answered."""
        return self.answer(event, remaining_ms).value()

    def redrive(self, remaining_ms: int = MINUTE_MS, **asked: Any) -> Mapping[str, Any]:
        """What a schedule's call comes to."""
        return self.run(self.redrives.run(RedriverEvent(**asked), remaining_ms))


class Script:
    """A handler that notes the numbers it was given, and fails at some of them as often as it is told."""

    def __init__(self, failing: Mapping[int, int] | Iterable[int] = ()) -> None:
        self.failing = dict(failing) if isinstance(failing, Mapping) else dict.fromkeys(failing, 1_000_000)
        self.seen: list[int] = []
        self.handled: list[int] = []

    def __call__(self, change: Any) -> None:
        number = int(change.new["n"])
        self.seen.append(number)
        if self.failing.get(number, 0) > 0:
            self.failing[number] -= 1
            raise ValueError(f"no such number: {number}")
        self.handled.append(number)


def shop(script: Any, **settings: Any) -> App:
    """An app with one handler of all changes of the orders."""
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="audit", **settings)
    async def audit(change: Any) -> None:
        script(change)

    return app


def puts(state: TablesInMemory) -> list[int]:
    """The numbers of the items that transactions put."""
    return [int(action["Item"]["n"]["N"]) for action in state.written]
