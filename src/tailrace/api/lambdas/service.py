"""Lambda's API of a server: its functions, the mappings that clients make, and the worker that runs them.

Theory of operation: a mapping is a row; an operation that changes one lets the worker drain it and begin it
again at its checkpoint, and the others go on untouched. Until then the mapping's state is Creating, Updating,
Disabling, …. A change that a crash interrupts is carried out by the next start.
Rules of this file: rows are durable before an answer leaves; hand-overs follow one another. Made by
`server.node`, kept by `api.dispatch`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

import orjson
from msgspec.structs import replace

from tailrace.api.lambdas.event_sources import Begin, is_readable, positions, problem_of, table_behind
from tailrace.api.lambdas.functions import Configured, Functions, ProcessLike, read_configured
from tailrace.api.lambdas.mappings import (
    NOT_FOUND,
    NOTHING_YET,
    OK,
    PREFIX,
    PROBLEM,
    PROBLEM_WITH,
    EventSourceMapping,
    document,
    read_mapping,
)
from tailrace.api.lambdas.settings import filter_criteria_error, for_machine
from tailrace.app.app import App
from tailrace.app.function_settings import CodePlace, FunctionSettings, NamedFunction
from tailrace.app.table import Table
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, TailraceError
from tailrace.leases.checkpoint import behind, checkpoint_key
from tailrace.ports import Failed, StateStore, StreamRef
from tailrace.rows.kinds import EVENT_SOURCE_MAPPING, MAPPING
from tailrace.rows.writes import VERSION, Write
from tailrace.runtime.attempts import Tallies
from tailrace.runtime.mapping_rows import rows_of
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import LAMBDA_APP, MappingName
from tailrace.sinks.lambda_function import request_id
from tailrace.views.progress import totals
from tailrace.worker.worker import Worker

APP: Final = LAMBDA_APP
Work: TypeAlias = Coroutine[Any, Any, None]
LOG: Final = logging.getLogger("tailrace.server")


class LambdaService:
    """Shape: `use` hands over to a worker of this app, `worker` is the one that runs now."""

    def __init__(
        self,
        engine: Engine,
        state: StateStore,
        functions: Mapping[str, NamedFunction],
        runner: Callable[[str, CodePlace, FunctionSettings], ProcessLike],
        use: Callable[[App], Awaitable[None]],
        worker: Callable[[], Worker | None],
    ) -> None:
        self.engine = engine
        self.functions = Functions(functions, runner)
        self.invoked = Tallies()
        """What direct invocations came to, by function."""
        self.state = state
        self._use = use
        self._app = App(APP)
        self._declared: dict[str, bytes] = {}
        """What of a mapping its worker must know, as it was declared."""
        self._worker = worker
        self._under_way: dict[str, str] = {}
        self._handing_over: set[asyncio.Task[None]] = set()
        self._invoking: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._count = 0

    # ---- mappings ------------------------------------------------------------------------------------------

    async def mappings(self) -> list[EventSourceMapping]:
        """Every mapping. Raises: StoreError."""
        return [read_mapping(row.key, row.fields) async for row in rows(self.state, PREFIX)]

    async def mapping(self, uuid: str) -> EventSourceMapping:
        """One of them. Raises: ApiError, StoreError."""
        row = await self.state.get(EVENT_SOURCE_MAPPING.key(uuid))
        if row is None:
            raise ApiError("ResourceNotFoundException", NOT_FOUND, status=404)
        return read_mapping(row.key, row.fields)

    async def document(self, mapping: EventSourceMapping) -> dict[str, Any]:
        """Its configuration and state."""
        state = self._under_way.get(mapping.uuid) or ("Enabled" if mapping.enabled else "Disabled")
        settings = self.engine.settings
        return document(mapping, state, await self._result(mapping), settings.region, settings.account)

    async def _result(self, mapping: EventSourceMapping) -> str:
        """What came of its last batch, of this run or those before it; of a stream that has ended, that.
        Source: semantics §2.1 (LastProcessingResult).
        """
        worker = self._worker()
        sink = None if worker is None else worker.sinks.get(mapping.uuid)
        problem = problem_of(self.engine, mapping.stream_arn)
        if problem and not is_readable(self.engine, mapping.stream_arn):
            return f"{PROBLEM_WITH}{problem}"
        if sink is not None and isinstance(sink.tally.last, Failed):
            return PROBLEM
        if problem:
            return f"{PROBLEM_WITH}{problem}"
        if sink is not None and sink.tally.last is not None:
            return OK
        settled = await totals(self.state, MappingName(APP, mapping.uuid, mapping.table))
        return OK if settled["handled"] else NOTHING_YET

    async def check_unmapped(self, stream_arn: str, function: str) -> None:
        """Raises: ApiError when there is a mapping of this stream to this function."""
        for mapping in await self.mappings():
            if (mapping.stream_arn, mapping.function) == (stream_arn, function):
                raise ApiError(
                    "ResourceConflictException",
                    f'The event source arn (" {stream_arn} ") and function (" {function} ") provided '
                    "mapping already exists. "
                    f"Please update or delete the existing mapping with UUID {mapping.uuid}",
                    status=409,
                )

    def new_uuid(self, seed: str) -> str:
        """An identity that no mapping has."""
        self._count += 1
        return request_id(f"{seed}/{self.engine.clock.now().wall_ms}/{self._count}")

    async def save(self, mapping: EventSourceMapping, state: str, *more: Write) -> dict[str, Any]:
        """Keep a change and begin to carry it out. Returns: the configuration, with the state on the way."""
        before = self._under_way.get(mapping.uuid)
        self._under_way[mapping.uuid] = state
        try:
            await self.state.transact([Write(mapping.key, mapping.fields()), *more])
        except TailraceError:  # nothing of it holds: what was under way before is
            self._under_way.pop(mapping.uuid)
            if before is not None:
                self._under_way[mapping.uuid] = before
            raise
        configuration = await self.document(mapping)
        self._start_task(self._carry_out(), self._handing_over)
        return configuration

    async def configure(self, configured: Configured) -> None:
        """Keep a function's configuration; its mappings go on with it."""
        await self.keep(configured)
        self._start_task(self._carry_out(), self._handing_over)

    async def keep(self, resource: EventSourceMapping | Configured) -> None:
        """Make a function's or mapping's row durable; a mapping goes on untouched. Raises: StoreError."""
        if isinstance(resource, Configured):
            self.functions.put(resource)
        await self.state.transact([Write(resource.key, resource.fields())])

    def beginning(self, mapping: EventSourceMapping, stream: StreamRef, begin: Begin) -> list[Write]:
        """Checkpoints behind what a new mapping skips: at LATEST all there is, at a time all before it.
        Source: semantics §2.3.
        """
        return [
            behind(
                checkpoint_key(APP, mapping.uuid, stream.label, shard.shard_id),
                shard,
                self.engine.last_sequence,
                after,
            )
            for shard, after in positions(self.engine, stream, begin)
        ]

    # ---- the worker ----------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what is kept of the functions: before it there is none. Raises: StoreError."""
        for name in self.functions.registered:
            self.functions.put(await read_configured(self.state, name))

    async def start(self) -> None:
        """Finish what a crash interrupted and run what is enabled. Raises: StoreError."""
        await self._carry_out()

    def begin(self, work: Work) -> None:
        """Run a function beside the answer; `close` does not wait for it."""
        self._start_task(work, self._invoking)

    def _start_task(self, work: Work, tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def close(self) -> None:
        """Wait for hand-overs; end asynchronous invocations and the processes of direct ones."""
        for task in tuple(self._invoking):
            task.cancel()
        # A hand-over is never cut off: the old worker would lose its drain.
        await asyncio.gather(*self._handing_over, *self._invoking, return_exceptions=True)
        await self.functions.close()

    async def _carry_out(self) -> None:
        async with self._turn:
            under_way = dict(self._under_way)
            mappings = await self.mappings()
            try:
                self._declare([mapping for mapping in mappings if not mapping.deleting])
                await self._use(self._app)
            except TailraceError:
                LOG.exception("the event source mappings could not be started")
            gone = [
                write for mapping in mappings if mapping.deleting for write in await self._rows_of(mapping)
            ]
            if gone:
                await self.state.transact(gone)
            for uuid, state in under_way.items():
                if self._under_way.get(uuid) == state:
                    del self._under_way[uuid]

    async def _rows_of(self, mapping: EventSourceMapping) -> list[Write]:
        """Removing a mapping: its row and its rows; its dead letters are for people to redrive or drop, who
        find it by a row that names it.
        """
        owned = [
            (place.kind.outlives, row.key) async for place, row in rows_of(self.state, APP, mapping.uuid)
        ]
        gone = [key for outlives, key in owned if not outlives]
        writes = [Write(key, None) for key in (mapping.key, *gone)]
        if len(gone) < len(owned):
            named = {"v": VERSION, "id": mapping.uuid, "table": mapping.table}
            writes.append(Write(MAPPING.key(APP, mapping.uuid), named))
        return writes

    def _declare(self, mappings: list[EventSourceMapping]) -> None:
        """Let the app declare what is enabled; a mapping of which nothing has changed stays the same object,
        and goes on untouched.
        """
        wanted: dict[str, tuple[EventSourceMapping, bytes]] = {}
        for mapping in mappings:
            known = self._known(mapping)
            if known is not None:
                wanted[mapping.uuid] = (mapping, known)
        for uuid in [
            uuid for uuid, known in self._declared.items() if uuid not in wanted or wanted[uuid][1] != known
        ]:
            self._app.withdraw(uuid)
            del self._declared[uuid]
        for uuid, (mapping, known) in wanted.items():
            if uuid not in self._declared:
                function = self.functions[mapping.function]
                self._app.function(
                    function.code,
                    self._table(mapping),
                    id=uuid,
                    name=mapping.function,
                    **for_machine(mapping.settings),
                    **function.configured.app_settings,
                    DestinationConfig=mapping.settings["DestinationConfig"],
                )
                self._declared[uuid] = known

    def _known(self, mapping: EventSourceMapping) -> bytes | None:
        """Everything that decides how a mapping runs; None when it does not: it is off, its function is gone,
        or its stream is.
        """
        function = self.functions.get(mapping.function)
        if not mapping.enabled or function is None or filter_criteria_error(mapping.settings):
            return None
        if not is_readable(self.engine, mapping.stream_arn):
            return None
        return orjson.dumps([mapping.function, function.configured.app_settings, dict(mapping.settings)])

    def _table(self, mapping: EventSourceMapping) -> Table:
        """What the mapping follows."""
        table = table_behind(self.engine, mapping.stream_arn)
        # the others of that name are declared by now, and go on with theirs
        self._app.tables[table.name] = table
        return table


def deleted(mapping: EventSourceMapping) -> EventSourceMapping:
    """The mapping on its way out."""
    return replace(mapping, deleting=True)
