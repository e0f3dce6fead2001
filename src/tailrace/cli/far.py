"""Answering a question about a fleet from any machine that reaches its state and its streams.

Rules of this file: the verbs are the server's own; those that ask an engine are refused in words, and so are
those that must be told to the worker that has the handler. Imported only when a fleet is asked.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from tailrace.app.table import Table, schema_of
from tailrace.aws import client
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access
from tailrace.cli.answering import one_by_one
from tailrace.cli.failures import CommandFailure
from tailrace.cli.hints import NEVER_AFAR
from tailrace.cli.loading import load
from tailrace.cli.place import StateAt, state_place
from tailrace.clocks.system import SystemClock
from tailrace.compose import incarnation
from tailrace.compose_fleet import FleetOptions, far_mirrors, far_planner, far_projector
from tailrace.errors import TailraceError
from tailrace.ports import StateStore
from tailrace.projections.run.projector import Projector
from tailrace.server.audit import audited
from tailrace.server.control import Subject, Verb, find_verb, registered_verbs
from tailrace.server.far_tail import follow_far
from tailrace.snapshots.run.planning import Planner
from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog, source_error
from tailrace.sources.far_log import AppLog
from tailrace.sources.far_tables import check_tables
from tailrace.stores.state_targets import open_state
from tailrace.streams.record import image
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item
from tailrace.verification.run.mirrors import Mirrors
from tailrace.views.reading import ViewSources


class FleetSubject(Subject):
    """What verbs act on from afar: the state and the streams of one app."""

    kept: StateStore | None = None
    log: AppLog | None = None
    app: str = ""
    access: Access = Access()
    declared: Sequence[Table] = ()
    projecting: Projector | None = None
    mirrored: Mirrors | None = None
    planning: Planner | None = None

    @property
    def state(self) -> StateStore:
        """What the workers keep."""
        assert self.kept is not None
        return self.kept

    @property
    def reading(self) -> ViewSources:
        """What views are given: nothing of a worker, for it is elsewhere."""
        assert self.log is not None
        return ViewSources(self.state, self.log, self.clock, app=self.app)

    async def schemas(self) -> list[TableSchema]:
        """What identifies the items of the app's tables, as it declares them: a worker has compared that."""
        return [schema_of(table) for table in self.declared]

    async def item(self, table: str, key: Item) -> Item | None:
        """An item as it is now. Raises: SourceError."""
        members = {"TableName": table, "Key": key, "ConsistentRead": True}
        try:
            answer = await client.call(self.access, "dynamodb", "get_item", members)
        except AwsError as error:
            raise source_error(error) from error
        return image(dump_item(read_item(answer["Item"]))) if answer.get("Item") else None

    def changes(self, table: str, *, from_start: bool) -> AsyncGenerator[dict[str, Any], None]:
        """A table's changes as they come. Raises: SourceError, TailraceError."""
        assert self.log is not None
        names = [known.name for known in self.declared]
        if table not in names:
            raise TailraceError(
                f"The app declares no table {table!r}; there are: {', '.join(names) or 'none'}.",
                hint="tailrace status",
            )
        return follow_far(self.log, self.clock, table, from_start=from_start)

    async def table_size(self, table: str) -> tuple[int, int]:
        """About how many items, and bytes, a table has, as of some hours ago at AWS. Raises: SourceError."""
        try:
            answer = await client.call(self.access, "dynamodb", "describe_table", {"TableName": table})
        except AwsError as error:
            raise source_error(error) from error
        described = answer["Table"]
        return described.get("ItemCount", 0), described.get("TableSizeBytes", 0)

    def projector(self, app: str) -> Projector | None:
        """What the app declares, read here; workers bring it up."""
        return self.projecting if app == self.app else None

    def mirrors(self) -> Mirrors | None:
        """The sinks of the app, opened here; workers write them."""
        return self.mirrored

    def planner(self) -> Planner | None:
        """What asks the tables from here; workers make the snapshots."""
        return self.planning

    async def tables(self) -> list[dict[str, Any]]:
        """The app's tables, by their newest streams. Raises: SourceError."""
        assert self.log is not None
        newest = {stream.table: stream for stream in await self.log.streams()}
        values = []
        for name, stream in newest.items():
            shards = await self.log.shards(stream)
            closed = sum(shard.is_closed for shard in shards)
            counts = {"open": len(shards) - closed, "closed": closed}
            values.append({"table": name, "items": None, "view_type": stream.view_type, "shards": counts})
        return values


def run_far(place: StateAt, name: str, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Every value of a verb. Raises: CommandFailure, SettingsError, PortError, what the verb raises."""
    asked = find_verb(name)
    if not asked.works_afar:
        known = sorted(verb.name for verb in registered_verbs().values() if verb.works_afar)
        reason = f"it needs the tables themselves. These can: {', '.join(known)}", "tailrace status"
        why, hint = NEVER_AFAR.get(name, reason)
        raise CommandFailure(f"`{name.replace('.', ' ')}` cannot be asked of a fleet: {why}.", hint=hint)
    yield from one_by_one(_answers(place, asked, arguments))


async def _answers(place: StateAt, asked: Verb, arguments: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
    clock, app = SystemClock(), load(place.app)
    access = Access(place.region, place.endpoint)
    target, _ = state_place(place.state, place.state_endpoint, access)
    state = await open_state(place.state, clock, incarnation(), **target)
    read = dict.fromkeys(mapping.table.name for mapping in app.mappings)
    log = AppLog(DynamoDbStreamsLog(access, clock), read)
    subject = FleetSubject(
        None, clock, is_offline=True, kept=state, log=log, app=app.name, access=access,
        declared=[*app.tables.values()],
    )  # fmt: skip
    async with AsyncExitStack() as opened:
        if hasattr(state, "close"):
            opened.push_async_callback(state.close)
        if asked.name.startswith("projection."):
            tables = await check_tables(app, access)
            options = FleetOptions(incarnation(), state, place.state, access, tables, opened.aclose)
            subject.projecting, end = far_projector(app, clock, options)
            opened.push_async_callback(end)
        if asked.name.startswith("sink."):
            tables = await check_tables(app, access)
            options = FleetOptions(incarnation(), state, place.state, access, tables, opened.aclose)
            subject.mirrored, end = far_mirrors(app, clock, options)
            opened.push_async_callback(end)
        if asked.name in ("snapshot.plan", "snapshot.start"):
            tables = await check_tables(app, access)
            options = FleetOptions(incarnation(), state, place.state, access, tables, opened.aclose)
            subject.planning, end = far_planner(app, clock, options)
            opened.push_async_callback(end)
        async with audited(state, clock, asked.name, arguments, changes=asked.changes):
            async for value in asked.run(subject, arguments):
                yield value
