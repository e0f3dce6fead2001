"""`tailrace kcl import | export`: between the lease table of a KCL application and a handler.

Rules of this file: options, and the order of a move: open, look, tell, refuse, write. What is moved is
decided by kcl/, what is shown is said by kcl_telling.py. Registered in `main`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import click
from msgspec import Struct

from tailrace.cli import options
from tailrace.cli.durations import duration, instant
from tailrace.cli.failures import CommandFailure
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import endpoint
from tailrace.cli.worker import far

if TYPE_CHECKING:
    from tailrace.app.app import App, HandlerMapping
    from tailrace.kcl.core.exporting import LeaseForm
    from tailrace.kcl.run.lease_table import KclTable
    from tailrace.kcl.run.sides import HandlerSide


class ChosenMove(Struct, frozen=True, kw_only=True):
    """What both verbs are told. Units: look in ms."""

    leases: str
    app: str
    handlers: tuple[str, ...]
    state: str
    endpoint: str | None
    region: str | None
    state_endpoint: str | None
    leases_endpoint: str | None
    leases_region: str | None
    look: int
    even_if_alive: bool
    dry_run: bool
    as_json: bool


def begin_position(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Literal["beginning", "now"] | int | None:
    """A click callback: `beginning`, `now` or a time. Raises: BadParameter."""
    if value is None or value in ("beginning", "now"):
        return cast("Literal['beginning', 'now'] | None", value)
    return cast(int, instant(context, parameter, value))


places = (
    click.option("--app", required=True, metavar="APP", help="The app with the handler: a file or a name."),
    click.option(
        "--handler",
        "handlers",
        multiple=True,
        metavar="ID",
        help="The handler; not needed when the app has one. An import may name several of one table: a KCL "
        "application often becomes more than one.",
    ),
    *far,
    click.option(
        "--leases-endpoint",
        callback=endpoint,
        metavar="URL",
        help="Of the lease table, where it is not that of the tables.",
    ),
    click.option(
        "--leases-region", metavar="REGION", help="Of the lease table, where it is not that of the tables."
    ),
    click.option(
        "--look",
        callback=duration,
        default="10s",
        show_default=True,
        metavar="DURATION",
        help="How far apart the two looks are that tell whether somebody is at work: at least KCL's "
        "failoverTimeMillis, which is ten seconds unless it was set.",
    ),
    click.option(
        "--even-if-alive", is_flag=True, help="Go on although a worker is at work; what it does is repeated."
    ),
    click.option("--dry-run", is_flag=True, help="Say what each lease becomes, and write nothing."),
    options.as_json,
)


@click.group(cls=CommandGroup)
def kcl() -> None:
    """Take over where a KCL application was, or hand back to it.

    A KCL application (1.x to 3.5, with the DynamoDB Streams Kinesis Adapter) keeps how far it is in its lease
    table, which has the application's name. `import` makes checkpoints of a handler of it, so that `tailrace
    worker` goes on behind what KCL has processed; `export` writes leases, so that KCL goes on behind what the
    handler has settled. Both look twice whether anybody is still at work, say what each lease becomes, and
    neither ever lets a change be skipped.

    \b
    Example: tailrace kcl import orders-app --app app.py --state dynamodb:tailrace-state --dry-run
             tailrace kcl export orders-app --app app.py --state dynamodb:tailrace-state
    Next:    tailrace worker app.py --state dynamodb:tailrace-state
    """


@kcl.command("import")
@click.argument("leases", metavar="LEASE_TABLE")
@options.options(
    *places[:-2],
    click.option(
        "--begin",
        callback=begin_position,
        metavar="now|beginning|ISO",
        help="Where leases begin that say LATEST or AT_TIMESTAMP, which KCL takes anew at every start: with "
        "what comes from now on, with the shard's oldest change, or at a time.",
    ),
    click.option(
        "--merge",
        is_flag=True,
        help="Join with what the handler has settled itself: what either has settled is not delivered again.",
    ),
    *places[-2:],
)
def import_leases(begin: Any, merge: bool, **chosen: Any) -> None:
    """Make checkpoints of a handler out of the leases in LEASE_TABLE.

    Everything up to a lease's checkpoint counts as settled, and nothing beyond it. SHARD_END is a finished
    shard, TRIM_HORIZON begins at the oldest change. A checkpoint that was prepared and not made, or is inside
    a record, is delivered again, as KCL would. A shard that the stream no longer has before its end, or whose
    next changes are trimmed, becomes a named gap (`tailrace gaps`), where KCL says nothing. Rows of KCL 3.5
    that are no leases are known and left out. The lease table is only read.

    It is refused, and nothing written, while KCL is at work, when a checkpoint does not fit its shard, and
    when the handler was here before (--merge). It may be repeated. Exit code 1: it was, or would be, refused.

    \b
    Example: tailrace kcl import orders-app --app app.py --state dynamodb:tailrace-state --dry-run
             tailrace kcl import orders-app --app app.py --state sqlite:state.db --handler receipt \\
                 --handler ledger --endpoint http://localhost:8000
    Next:    tailrace worker app.py --state dynamodb:tailrace-state
             tailrace gaps --state dynamodb:tailrace-state --app app.py
    """
    from tailrace.cli.running import run_loop
    from tailrace.kcl.run.importing import ImportChoice

    settings = ChosenMove(**chosen)
    choice = ImportChoice(begin, merge, settings.even_if_alive, settings.look)
    run_loop(_import(settings, choice))


@kcl.command("export")
@click.argument("leases", metavar="LEASE_TABLE")
@options.options(
    *places[:-2],
    click.option(
        "--kcl",
        "form",
        type=click.Choice(["1", "2", "3", "3.5"]),
        default="2",
        show_default=True,
        help="The KCL that begins with it. Each reads what an earlier one wrote.",
    ),
    click.option(
        "--several-streams",
        is_flag=True,
        help="Keys as in a table for several streams: ACCOUNT:STREAM:1:SHARD.",
    ),
    click.option("--create", is_flag=True, help="Make the table if it is not there, on demand, as KCL does."),
    click.option(
        "--leave-parked",
        is_flag=True,
        help="What is parked stays here, to be put back by `dlq redrive`, and KCL goes on behind it.",
    ),
    *places[-2:],
)
def export_leases(form: str, several_streams: bool, create: bool, leave_parked: bool, **chosen: Any) -> None:
    """Write leases to LEASE_TABLE with which KCL goes on behind what a handler has settled.

    A lease knows one number: everything up to it is processed. So what the handler has settled beyond that is
    delivered again, and said. Parked changes are handled by nobody yet: the checkpoint goes before the first,
    so KCL is told them and what follows. What KCL can never read (parked, and out of the stream; saved from
    the trim; in a stream that is off) is named, and refused. Leases have no owner. A lease of KCL's own that
    is further stays. State is only read, so the handler can go on as well.

    It is refused while a worker of either side is at work. Exit code 1: it was, or would be, refused.

    \b
    Example: tailrace kcl export orders-app --app app.py --state dynamodb:tailrace-state --dry-run
             tailrace kcl export orders-app --app app.py --state sqlite:state.db --kcl 3.5 --create
    Next:    start the KCL application, with the same name, and do not start `tailrace worker` again
    """
    from tailrace.cli.running import run_loop

    run_loop(_export(ChosenMove(**chosen), form, several_streams, create, leave_parked))


# ---- the moves ---------------------------------------------------------------------------------------------


async def _import(chosen: ChosenMove, choice: Any) -> None:
    from tailrace.cli.kcl_telling import tell_import
    from tailrace.kcl.run.importing import carry_out_import, prepare_import
    from tailrace.server.audit import audited

    async with _sides(chosen) as (table, sides, _):
        prepared = await prepare_import(table, sides, choice)
        changed: dict[str, int] | None = None
        if not (prepared.refusals or chosen.dry_run):
            first = sides[0]
            said = {"leases": chosen.leases, "handlers": [side.handler.id for side in sides]}
            async with audited(first.state, first.clock, "kcl.import", said, changes=True):
                changed = {side.handler.id: await carry_out_import(prepared, side) for side in sides}
    tell_import(prepared, [side.handler.id for side in sides], changed, as_json=chosen.as_json)
    _refuse(prepared.refusals, chosen)


async def _export(chosen: ChosenMove, form: str, several: bool, creates: bool, leaves_parked: bool) -> None:
    from tailrace.cli.kcl_telling import tell_export
    from tailrace.kcl.core.exporting import KeyForm
    from tailrace.kcl.run.exporting import ExportChoice, carry_out_export, prepare_export
    from tailrace.server.audit import audited

    async with _sides(chosen) as (table, sides, account):
        if len(sides) > 1:
            raise CommandFailure(
                "A lease table tells how far one consumer is, and several handlers are named.",
                hint="one export each, to tables of their own",
            )
        (side,) = sides
        keys = KeyForm(cast("LeaseForm", form), account if several else "")
        choice = ExportChoice(keys, creates, leaves_parked, chosen.even_if_alive, chosen.look)
        prepared = await prepare_export(table, side, choice)
        changed = None
        if not (prepared.refusals or chosen.dry_run):
            said = {"leases": chosen.leases, "handler": side.handler.id}
            async with audited(side.state, side.clock, "kcl.export", said, changes=True):
                changed = await carry_out_export(prepared, table, side)
    tell_export(prepared, side.handler.id, changed, as_json=chosen.as_json)
    _refuse(prepared.refusals, chosen)


@asynccontextmanager
async def _sides(chosen: ChosenMove) -> "AsyncIterator[tuple[KclTable, Sequence[HandlerSide], str]]":
    """Both sides, opened, and the account of the tables. Raises: SettingsError, PortError, CommandFailure."""
    from tailrace.aws.places import Access
    from tailrace.cli.loading import load
    from tailrace.cli.place import state_place
    from tailrace.cli.worker import require_aws
    from tailrace.clocks.system import SystemClock
    from tailrace.compose import incarnation
    from tailrace.compose_fleet import FleetOptions, handler_sides
    from tailrace.kcl.run.lease_table import KclTable
    from tailrace.sources.far_tables import check_tables
    from tailrace.stores.state_targets import open_state

    require_aws()
    app = load(chosen.app)
    handlers = _handlers(app, chosen.handlers)
    access = Access(chosen.region, chosen.endpoint)
    leases = Access(chosen.leases_region or chosen.region, chosen.leases_endpoint or chosen.endpoint)
    target, _ = state_place(chosen.state, chosen.state_endpoint, access)
    clock, owner = SystemClock(), incarnation()
    state = await open_state(chosen.state, clock, owner, **target)
    close = getattr(state, "close", None)
    try:
        place = await check_tables(app, access)
        opened = FleetOptions(owner, state, chosen.state, access, place, _nothing)
        side_of, end = handler_sides(app, clock, opened)
        try:
            yield KclTable(leases, chosen.leases), [side_of(handler) for handler in handlers], place.account
        finally:
            await end()
    finally:
        if close is not None:
            await close()


async def _nothing() -> None:
    """State is closed by who opened it."""


def _handlers(app: "App", named: Sequence[str]) -> "list[HandlerMapping]":
    """The handlers that are meant. Raises: UsageError naming those that there are."""
    known = {
        mapping.id: mapping
        for mapping in app.mappings
        if mapping.projection is None and not mapping.only_counts
    }
    if not known:
        raise CommandFailure(f"app {app.name!r} has no handler of a table's changes")
    if not named and len(known) > 1:
        raise click.UsageError(f"Say which handler, with --handler: {', '.join(known)}.")
    if unknown := [name for name in named if name not in known]:
        raise click.UsageError(
            f"App {app.name!r} has no handler {unknown[0]!r} that reads a table's changes itself. There are: "
            f"{', '.join(known)}."
        )
    chosen = [known[name] for name in dict.fromkeys(named or known)]
    tables = {mapping.table.name for mapping in chosen}
    if len(tables) > 1:
        raise click.UsageError(
            f"One move is of one table, and these handlers read {', '.join(sorted(tables))}."
        )
    return chosen


def _refuse(refusals: Sequence[tuple[str, str]], chosen: ChosenMove) -> None:
    """End with what speaks against it. Raises: CommandFailure; Exit after a dry run, which has said it."""
    if not refusals:
        return
    if chosen.dry_run:
        click.get_current_context().exit(1)
    words, hint = refusals[0]
    more = f" ({len(refusals) - 1} more, see above)" if len(refusals) > 1 else ""
    raise CommandFailure(f"{words}{more}. Nothing was written.", hint=hint)
