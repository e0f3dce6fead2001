"""The sink of a window handler, and what calls the handler when a window is over.

Theory of operation: changes come here as to any sink and are folded into the windows; the handler is called
by the windows, later. Its value goes to its sink as that of a record that stands for the window: its event id
is that of the revision, its sequence number grows with the revisions, so that a sink that ignores
repetitions, or keeps the newest, does so for windows. A window that is given up is a dead letter; put back,
it comes here, and the window is told as it is then.
Rules of this file: a value that a correction does not change is not written again. Declared by `@app.window`,
made by sinks/making.py.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import orjson
from msgspec import structs

from tailrace.app.fence import FENCE
from tailrace.app.mapping import HandlerMapping
from tailrace.app.plain import to_plain_item
from tailrace.app.sinking import AlwaysOpen
from tailrace.app.window import Window, WindowPlan
from tailrace.deadletters.core.entry import WINDOW_SHARD, DeadLetter, deadletter_fields, deadletter_key
from tailrace.ports import Clock, Failed, Failure, Outcome, RecordBatch, StreamRef, Written
from tailrace.rows.writes import Write
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.parts import Parts
from tailrace.sinks.calling import RAISED, call, failure_of, is_ours
from tailrace.sinks.documents import to_json
from tailrace.sinks.function import provided
from tailrace.sinks.outputs import Outputs
from tailrace.streams.arns import REGION, table_arn
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import MILLISECOND, ChangeRecord, EventName
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.telemetry import PointReached, pass_by
from tailrace.windows.core.rows import WindowOwner
from tailrace.windows.core.shapes import Span
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.windowing import Closing, WindowResult, Windows

SEQUENCE_BITS: Final = 62
REVISION_BITS: Final = 20


class WindowSink(AlwaysOpen):
    """One window handler's changes."""

    def __init__(self, changes: WindowChanges, reached: PointReached = pass_by) -> None:
        self._changes = changes
        self._reached = reached

    async def write(self, batch: RecordBatch) -> Outcome:
        """Fold the batch in, or tell the windows again whose dead letters it holds. Raises: StoreError."""
        if batch.shard_id == WINDOW_SHARD:
            failures = await self._tell_again(batch)
        else:
            failures = {
                index: failure_of(error)
                for index, error in (await self._changes.apply(batch.records)).items()
            }
        self._reached("invoke.done")
        return Failed(failures) if failures else Written()

    async def _tell_again(self, batch: RecordBatch) -> dict[int, Failure]:
        failures: dict[int, Failure] = {}
        for index, record in enumerate(batch.records):
            group, span, revision = _read(record)
            failure = await self._changes.windows.tell_again(group, span, revision)
            if failure is not None:
                failures[index] = failure
        return failures


class WindowTeller:
    """Calls one handler with its windows, and writes what it returns."""

    def __init__(
        self,
        mapping: HandlerMapping,
        plan: WindowPlan,
        target: Callable[..., Any],
        needed: Dependencies,
        account: str,
        clock: Clock,
    ) -> None:
        self._mapping = replace(mapping, target=target)
        self._plan = plan
        self._needed = needed
        self._account = account
        self._clock = clock
        self._outputs = Outputs(mapping.id, mapping.sink)

    async def tell(self, closing: Closing) -> WindowResult:
        """One attempt: the handler, then its sink."""
        record = record_of(self._mapping.id, closing)
        try:
            handler = await provided(self._mapping, self._needed)
            with FENCE:
                window = self._window(closing, record)
            value = await call(handler, window, timeout_s=self._mapping.timeout_s)
            digest = "" if value is None else blake2b(to_json(value), digest_size=12).hexdigest()
            if value is not None and digest != closing.before:
                failure = await self._write(record, value)
                if failure is not None:
                    return WindowResult(failure=failure)
        except RAISED as error:
            if is_ours(error):
                raise
            return WindowResult(failure=failure_of(error))
        return WindowResult(digest)

    async def _write(self, record: ChangeRecord, value: object) -> Failure | None:
        name = self._plan.table.name
        table = name if self._plan.table.place else table_arn(REGION, self._account, name)
        arn = f"{table}/window/{self._mapping.id}"
        batch = RecordBatch(
            [record], self._mapping.id, StreamRef(arn, name, "window", "KEYS_ONLY"), WINDOW_SHARD
        )
        return (await self._outputs.write(batch, {0: value})).get(0)

    def _window(self, closing: Closing, record: ChangeRecord) -> Window[Any]:
        plan = self._plan
        items = tuple([plan.instance(member.image or {}) for member in closing.members])
        start, end = (datetime.fromtimestamp(edge_ms / 1_000, UTC) for edge_ms in closing.span)
        key, name = plan.by.value_of(closing.group), event_id(record)
        return Window(key, start, end, items, closing.revision, name, closing.replay_id)

    def give_up(self, owner: WindowOwner, closing: Closing, failure: Failure, attempts: int) -> Write:
        """The dead letter of a window."""
        record = record_of(self._mapping.id, closing)
        text = f"{record.key.decode()}/{closing.revision}".encode()
        number = int.from_bytes(blake2b(text, digest_size=8).digest()) >> (64 - SEQUENCE_BITS)
        now_ms = self._clock.now().wall_ms
        # letters are kept by their numbers, and windows of many keys begin at one moment
        letter = DeadLetter(
            record=structs.replace(record, sequence=number, generation=FIRST_GENERATION),
            event_id=event_id(record),
            shard_id=WINDOW_SHARD,
            handler=self._mapping.id,
            condition="RetryAttemptsExhausted",
            attempts=attempts,
            error=failure.error,
            traceback=failure.traceback,
            first_failure_ms=now_ms,
            last_failure_ms=now_ms,
            table=self._plan.table.name,
        )
        return Write(
            deadletter_key(owner.app, owner.mapping_id, Version(FIRST_GENERATION, number)),
            deadletter_fields(letter),
        )


def record_of(mapping_id: str, closing: Closing) -> ChangeRecord:
    """The record that stands for one revision of a window.

    Shape:   its keys are the window's `key` and `start`, as a sink that keeps rows wants them; its image says
             which window exactly. One number of a shard for each window and replay, one sequence number for
             each revision: so the event id is the revision's. The generation is the replay's: what it tells
             is newer than what was told before, and older than a revision that comes after it.
    """
    group, span, revision, generation = closing.group, closing.span, closing.revision, closing.generation
    start = (
        datetime.fromtimestamp(span.start_ms / 1_000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
    keys = {"key": {"S": _words(group)}, "start": {"S": start}}
    window = {
        "group": {"S": group},
        "start_ms": {"N": str(span.start_ms)},
        "end_ms": {"N": str(span.end_ms)},
        "revision": {"N": str(revision)},
    }
    key = f"{mapping_id}/{group}/{span.start_ms}".encode()
    of = key if generation == FIRST_GENERATION else key + b"/%d" % generation
    shard = int.from_bytes(blake2b(of, digest_size=6).digest())
    sequence = (max(0, span.start_ms) << REVISION_BITS) + min(revision, (1 << REVISION_BITS) - 1)
    name: EventName = "INSERT" if revision == 1 else "MODIFY"
    return ChangeRecord(
        sequence,
        shard,
        name,
        span.end_ms * MILLISECOND,
        0,
        0,
        key,
        orjson.dumps(keys),
        None,
        orjson.dumps(window),
        generation=generation,
    )


def _read(record: ChangeRecord) -> tuple[str, Span, int]:
    """The window that such a record stands for."""
    window: dict[str, dict[str, str]] = orjson.loads(record.new or b"{}")
    span = Span(int(window["start_ms"]["N"]), int(window["end_ms"]["N"]))
    return window["group"]["S"], span, int(window["revision"]["N"])


def _words(group: str) -> str:
    """A group's key as one text: a text is itself, anything else its JSON.

    >>> _words('{"S":"NL"}'), _words('{"L":[{"S":"NL"},{"N":"3"}]}'), _words('{"NULL":true}')
    ('NL', '["NL",3]', 'null')
    """
    value = to_plain_item({"key": orjson.loads(group)})["key"]
    return value if isinstance(value, str) else to_json(value).decode()


def windows_of(
    app: str,
    mapping: HandlerMapping,
    plan: WindowPlan,
    *,
    target: Callable[..., Any],
    needed: Dependencies,
    account: str,
    parts: Parts,
    watermark: Callable[[], Awaitable[int]],
) -> Windows:
    """A handler's windows, put together."""
    teller, owner = (
        WindowTeller(mapping, plan, target, needed, account, parts.clock),
        WindowOwner(app, mapping.id),
    )
    return Windows(
        owner,
        plan,
        mapping.settings,
        parts,
        watermark=watermark,
        tell=teller.tell,
        give_up=lambda closing, failure, attempts: teller.give_up(owner, closing, failure, attempts),
    )
