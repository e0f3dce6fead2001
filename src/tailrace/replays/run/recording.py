"""What stands for the world while a handler runs on trial: what it reads, where its writes and outputs go.

Theory of operation: reads of the app's tables are answered as of the change, by their journals: what the
handler has written itself for that change stands over it, and the item that has changed is as the change left
it. Writes have the same rules as the engine's (tables/mutate.py), so a condition that fails does, and what is
noted is the item that would be there. Journals are read in a loop beside the handler's.
Rules of this file: nothing is written and nothing guessed: what a journal does not know is a call that
nothing answers, and a journal that is away ends the trial. Made by trial.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import orjson

from tailrace.app.app import App
from tailrace.app.client import Members
from tailrace.app.mapping import HandlerMapping, archives_of
from tailrace.app.sinking import AlwaysOpen
from tailrace.app.table import schema_of
from tailrace.engine.query import query_range
from tailrace.errors import ApiError, InternalError, NotKnown, Unavailable
from tailrace.expressions.keys import parse_key_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.journal.run.past import JournalNow, PastReader, TableThen, journal_at
from tailrace.ports import Action, ItemWrite, Outcome, RecordBatch, Written
from tailrace.replays.core.effects import EffectKind
from tailrace.replays.core.histories import Histories
from tailrace.replays.run.noting import Notes, key_text, notes_here
from tailrace.runtime.threads import Threads
from tailrace.sinks.documents import change_document, to_json
from tailrace.stores.rowless import Rowless
from tailrace.tables.actions import read_parameters
from tailrace.tables.mutate import mutate
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

T = TypeVar("T")
ACTIONS: Final = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
"""Writes of one item, as parts of a transaction are called."""
CANCELLED: Final = "Transaction cancelled, please refer cancellation reasons for specific reasons"


def _notes() -> Notes:
    notes = notes_here()
    if notes is None:
        raise InternalError("what is recorded on trial belongs to a change")
    return notes


class ReadingLoop:
    """The loop beside a trial that reads journals, and its threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Threads) -> None:
        self._loop = loop
        self._threads = threads

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What it comes to; waits. Raises: what it raises."""
        return asyncio.run_coroutine_threadsafe(self._within(coroutine), self._loop).result()

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """The same for who awaits it."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._within(coroutine), self._loop))

    async def _within(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._threads.used():
            return await coroutine


class PastTables:
    """The app's tables as of changes, of the reading loop. Shape: `opened` opens what reads a journal."""

    def __init__(self, app: App, opened: Callable[[HandlerMapping], PastReader]) -> None:
        self._app = app
        self._opened = opened
        self._archives = archives_of(app.mappings)
        self._readers: dict[str, tuple[PastReader, list[JournalNow]]] = {}
        self._histories = Histories()

    def schema(self, table: str) -> TableSchema | None:
        """The keys of a table that the app declares."""
        declared = self._app.tables.get(table)
        return None if declared is None else schema_of(declared)

    def _journaled(self, table: str) -> TableSchema:
        schema = self.schema(table)
        if schema is None or table not in self._archives:
            raise NotKnown(f"it has no journal: app.archive({table}, …) keeps one")
        return schema

    async def item(self, notes: Notes, table: str, key: Item) -> Item | None:
        """An item as the handler would see it. Raises: NotKnown, Unavailable."""
        schema = self._journaled(table)
        place = (table, schema.key_bytes(key))
        if place in notes.written:
            return notes.written[place]
        if place == (notes.table, notes.record.key):
            return _read(notes.record.new)
        then = await self._then(notes, table)
        history = self._histories.find(*place)
        if history is None:
            history = self._histories.keep(*place, await then.now.of_key(place[1]))
        state = then.state_of(history.around(then.at_us, then.ties_upto))
        if not state.is_known:
            raise NotKnown(state.unknown)
        return _read(state.item)

    async def query(self, notes: Notes, members: Members) -> list[Item]:
        """The items of a partition as the handler would see them. Raises: NotKnown, Unavailable, ApiError."""
        table = members["TableName"]
        schema = self._journaled(table)
        if "IndexName" in members:
            raise NotKnown("indexes have no past")
        placeholders = Placeholders(
            members.get("ExpressionAttributeNames"), members.get("ExpressionAttributeValues")
        )
        condition = parse_key_condition(
            members["KeyConditionExpression"], placeholders, schema.hash_names, schema.range_names
        )
        asked = query_range(schema, condition)
        then = await self._then(notes, table)
        items = {key: _read(image) async for key, image in then.between(asked.first, asked.last)}
        own = {(notes.table, notes.record.key): _read(notes.record.new), **notes.written}
        for (name, key), item in own.items():
            if name == table and asked.first <= key and (asked.last is None or key < asked.last):
                items[key] = item
        ordered = [items[key] for key in sorted(items)]
        present = [item for item in ordered if item is not None]
        return present[::-1] if members.get("ScanIndexForward") is False else present

    async def _then(self, notes: Notes, table: str) -> TableThen:
        if table not in self._readers:
            reader = self._opened(self._archives[table])
            try:
                journals = await reader.known()
            except BaseException:
                reader.close()
                raise
            if not journals:
                reader.close()
                raise NotKnown("there is no journal of it yet")
            self._readers[table] = reader, journals
        is_window = not notes.table  # it is no change of any table, and its end is outside
        at_us = notes.record.created_us - is_window
        now = journal_at(self._readers[table][1], at_us)
        upto = None if is_window else notes.record.version
        return TableThen(table, now, at_us, incomplete=False, upto=upto)

    def close(self) -> None:
        """Delete what was fetched."""
        for reader, _ in self._readers.values():
            reader.close()


class TrialWrites:
    """Writes of a handler, noted: the item that would be there, where that can be known."""

    def __init__(self, tables: PastTables) -> None:
        self._tables = tables

    async def write(self, notes: Notes, kind: EffectKind, action: str, parameters: Members) -> None:
        """Note one. Raises: ApiError as the table would; NotKnown where that cannot be told."""
        table = str(parameters["TableName"])
        operation = read_parameters(action, orjson.loads(orjson.dumps(dict(parameters))))
        schema = self._tables.schema(table)
        item: Item = parameters["Item"] if action == "Put" else parameters["Key"]
        key = item if schema is None else {name: item[name] for name in schema.key_names if name in item}
        target, shown = f"{action} {table}", key_text(key)
        asks = operation.condition is not None or action in ("Update", "ConditionCheck")
        try:
            if schema is None:
                raise NotKnown("the app does not declare it")
            old = await self._tables.item(notes, table, key) if asks else None
        except NotKnown:
            if operation.condition is not None:
                raise
            # Without a condition it is applied whatever is there: what is written is known, if not to what.
            said = {name: value for name, value in parameters.items() if name not in ("TableName", "Key")}
            notes.note(kind, target, shown, to_json(said).decode())
            return
        mutation = mutate(schema, old, operation)
        if action != "ConditionCheck":
            notes.written[table, mutation.key_bytes] = mutation.new
        notes.note(kind, target, shown, to_json({"item": mutation.new}).decode())


class TrialState(Rowless):
    """Where a handler's recorded writes are committed, on trial: they are noted. It has no rows."""

    def __init__(self, writes: TrialWrites, reading: ReadingLoop) -> None:
        self._writes = writes
        self._reading = reading

    async def transact(self, writes: Sequence[Action]) -> None:
        """Note what goes to tables. Raises: ApiError where a condition fails."""
        notes = _notes()
        for write in writes:
            if not isinstance(write, ItemWrite):
                continue
            try:
                await self._reading.begin(
                    self._writes.write(notes, "transaction", write.action, write.parameters)
                )
            except NotKnown as error:
                notes.refuse(f"{write.action} of {write.parameters['TableName']}: {error.args[0]}")
            except Unavailable as outage:
                notes.stop(outage)
            except ApiError as error:
                raise ApiError("TransactionCanceledException", f"{CANCELLED} [{error.code}]") from error


class PastDoor:
    """What a handler's client asks, answered as of its change."""

    def __init__(self, tables: PastTables, writes: TrialWrites, reading: ReadingLoop) -> None:
        self._tables = tables
        self._writes = writes
        self._reading = reading

    def call(self, operation: str, members: Members) -> Members:
        """One request of a thread. Raises: ApiError; Unanswered."""
        notes = _notes()
        try:
            return self._reading.wait(self._answer(notes, operation, members))
        except NotKnown as error:
            notes.refuse(f"{operation} of {members.get('TableName')}: {error.args[0]}")
        except Unavailable as outage:
            notes.stop(outage)

    async def begin(self, operation: str, members: Members) -> Members:
        """One request of a coroutine. Raises: ApiError; Unanswered."""
        notes = _notes()
        try:
            return await self._reading.begin(self._answer(notes, operation, members))
        except NotKnown as error:
            notes.refuse(f"{operation} of {members.get('TableName')}: {error.args[0]}")
        except Unavailable as outage:
            notes.stop(outage)

    async def _answer(self, notes: Notes, operation: str, members: Members) -> Members:
        match operation:
            case "GetItem":
                item = await self._tables.item(notes, members["TableName"], members["Key"])
                return {} if item is None else {"Item": item}
            case "Query":
                return {"Items": await self._tables.query(notes, members)}
            case "PutItem" | "UpdateItem" | "DeleteItem":
                await self._writes.write(notes, "write", ACTIONS[operation], members)
                return {}
            case "TransactWriteItems":
                await self._transact(notes, members)
                return {}
        raise NotKnown(f"a dry run does not answer {operation}")

    async def _transact(self, notes: Notes, members: Members) -> None:
        """A transaction of a client, as aggregates append. Raises: NotKnown where a condition fails: who
        asked would look again, at what others have written meanwhile.
        """
        for asked in members["TransactItems"]:
            ((action, parameters),) = asked.items()
            try:
                await self._writes.write(notes, "write", action, parameters)
            except ApiError as error:
                raise NotKnown(
                    f"{action} {parameters['TableName']} fails as of the change: {error.code}"
                ) from error


class TrialSink(AlwaysOpen):
    """Where outputs go on trial: they are noted. Shape: `name` is the declared sink's."""

    tells_repeats = True

    def __init__(self, name: str) -> None:
        self._name = name

    async def write(self, batch: RecordBatch) -> Outcome:
        """Note what would be written. Raises: SinkError for what has no place in JSON."""
        notes = _notes()
        for place, record in enumerate(batch.records):
            value: object = (
                change_document(record, batch.stream) if batch.values is None else batch.values[place]
            )
            notes.note("output", self._name, key_text(orjson.loads(record.keys)), to_json(value).decode())
        return Written()


def _read(image: bytes | None) -> Item | None:
    return None if image is None else orjson.loads(image)
