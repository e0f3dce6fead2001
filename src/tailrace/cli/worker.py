"""`tailrace worker app.py`: the handlers of an app against real DynamoDB Streams, with state in a place of
its own.

Rules of this file: options, words, and the order of a start; what runs is server/fleet.py's, made by
compose_fleet.py. Nothing is ever made at the other side: what is not there is refused with the command that
makes it. No account and no key is ever told. Registered in `main`.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import click
from msgspec import Struct

from tailrace.cli import options
from tailrace.cli.durations import duration, format_instant, instant
from tailrace.cli.ending import Ending
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import endpoint, state_place

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.aws.places import Access
    from tailrace.compose_fleet import FleetOptions
    from tailrace.ports import Clock
    from tailrace.runtime.beginning import StartPosition
    from tailrace.server.fleet import FleetProcess

PROBES: Final = "127.0.0.1:8181"
PATHS: Final = ("/health", "/alive", "/ready", "/metrics")
LEAST_LEASE_MS: Final = 1_000
MOST_LEASE_MS: Final = 600_000
Address = tuple[str, int]


def address(context: click.Context, parameter: click.Parameter, value: str | None) -> Address | None:
    """A click callback: HOST:PORT, or `off`. Raises: BadParameter."""
    if value is None or value == "off":
        return None
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isdigit() and int(port) <= 65_535):
        raise click.BadParameter(f"{value!r} is no HOST:PORT, such as {PROBES}", context, parameter)
    return host.removeprefix("[").removesuffix("]"), int(port)


def lease_time(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """A click callback: a duration of one second to ten minutes, in ms. Raises: BadParameter."""
    lease_ms = duration(context, parameter, value)
    assert lease_ms is not None
    if not LEAST_LEASE_MS <= lease_ms <= MOST_LEASE_MS:
        raise click.BadParameter(f"{value} is not between 1s and 10m", context, parameter)
    return lease_ms


def start_position(
    context: click.Context, parameter: click.Parameter, value: str
) -> Literal["beginning", "end"] | int:
    """A click callback: `beginning`, `end` or a time. Raises: BadParameter."""
    if value in ("beginning", "end"):
        return cast("Literal['beginning', 'end']", value)
    return cast(int, instant(context, parameter, value))


far = (
    click.option(
        "--state",
        metavar="TARGET",
        required=True,
        envvar="TAILRACE_STATE",
        help="Where leases, checkpoints and dead letters are kept: dynamodb:TABLE, "
        "postgres://USER@HOST/DATABASE or sqlite:PATH. `tailrace state create` makes it.",
    ),
    click.option(
        "--endpoint",
        callback=endpoint,
        metavar="URL",
        help="Of the tables: another than AWS's, such as a `tailrace serve`.",
    ),
    click.option("--region", metavar="REGION", help="Of the tables; else as the AWS CLI finds it."),
    click.option(
        "--state-endpoint",
        callback=endpoint,
        metavar="URL",
        help="Of --state dynamodb:TABLE, where it is not that of the tables.",
    ),
)
"""Where tables and state are."""


class Chosen(Struct, frozen=True):
    """What was chosen on the command line. Units: lease and drain in ms."""

    state: str
    endpoint: str | None
    region: str | None
    state_endpoint: str | None
    marks: str | None
    start: Literal["beginning", "end"] | int
    lease: int
    weight: int
    hand_overs: int
    read_price: float | None
    health: Address | None
    metrics: Address | None
    drain: int
    log_format: Literal["text", "json"]
    verbose: bool
    as_json: bool

    @property
    def probes(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Where it listens, and what is answered there."""
        if self.metrics is None:
            return [] if self.health is None else [(*self.health, PATHS)]
        health = [] if self.health is None else [(*self.health, PATHS[:3])]
        return [*health, (*self.metrics, PATHS[3:])]


@click.command()
@click.argument("app", metavar="APP")
@options.options(
    *far,
    click.option(
        "--marks",
        metavar="TABLE",
        help="A DynamoDB table beside the tables that handlers write, for change.transaction and once=True. "
        "Not needed where the state is such a table.",
    ),
    click.option(
        "--start",
        callback=start_position,
        default="beginning",
        show_default=True,
        metavar="beginning|end|ISO",
        help="Where handlers begin that were never here: at the oldest change there is (24 hours at most), "
        "with what comes from now on, or at a time. The others go on where they were.",
    ),
    click.option(
        "--lease",
        callback=lease_time,
        default="10s",
        show_default=True,
        metavar="DURATION",
        help="How long this worker may be silent before the others take its shards; it says that it lives "
        "three times as often. Longer than any pause of the machine, and than an outage of the state that "
        "is to change nothing.",
    ),
    click.option(
        "--weight",
        type=click.IntRange(1, 1_000),
        default=1,
        show_default=True,
        help="Its share of the shards beside those of the others: with 2 twice as many as with 1.",
    ),
    click.option(
        "--hand-overs",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="How many shards at once it drains for workers that join.",
    ),
    click.option(
        "--read-price",
        type=click.FloatRange(0),
        metavar="USD",
        help="What a million reads of streams cost, for its metrics; else AWS's list price, and nothing "
        "elsewhere.",
    ),
    click.option(
        "--health",
        callback=address,
        default=PROBES,
        show_default=True,
        metavar="HOST:PORT|off",
        help="Where /health, /alive, /ready and /metrics are answered. Port 0: any free one.",
    ),
    click.option("--metrics", callback=address, metavar="HOST:PORT", help="A place of its own for /metrics."),
    options.drain,
    options.log_format,
    options.verbose,
    options.as_json,
)
def worker(app: str, **chosen: Any) -> None:
    """Run the handlers of APP against real DynamoDB Streams, on as many machines as you like.

    APP is a file (app.py) or a name (package.module:app). All workers of one app share one state, made once
    by `tailrace state create`; each reads some of the shards, and takes over those of a worker that is gone.
    It needs the extra `aws`, credentials as the AWS CLI finds them, and tables with streams; it makes and
    changes none. Projections are built where a `tailrace serve` has their table, and refused elsewhere.

    The first Ctrl-C or SIGTERM drains: what runs ends and is saved, and its shards are given back. The
    second one ends at once. The exit code is 0 after a whole drain, and 3 when something was left after
    --drain. What cannot be reached while it runs is asked again for ever, and told in the log with the
    command that helps.

    \b
    Example: tailrace worker app.py --state dynamodb:tailrace-state --log-format json
             tailrace worker app.py --state sqlite:state.db --endpoint http://localhost:8000
    Next:    tailrace state create dynamodb:tailrace-state       once, before the first worker
             tailrace status --state dynamodb:tailrace-state --app app.py
    """
    from tailrace.cli.running import begin_of_start, run_loop

    begin_of_start()
    from tailrace.cli.loading import load
    from tailrace.cli.logs import set_up

    settings = Chosen(**chosen)
    set_up(settings.log_format, verbose=settings.verbose)
    require_aws()
    loaded = load(app)
    run_loop(_run(loaded, settings))


def require_aws() -> None:
    """See that the extra is there. Raises: CommandFailure."""
    try:
        import aiohttp  # noqa: F401 - told before anything is asked
        import botocore  # noqa: F401
    except ImportError as error:
        raise CommandFailure(
            "Tables at another server need the extra `aws`.",
            hint="pip install '.[aws]' in the checkout, and start again",
        ) from error


async def _run(app: "App", chosen: Chosen) -> None:
    """See, begin, announce, wait, drain. Raises: CommandFailure, SettingsError, PortError."""
    from tailrace.cli.running import end_of_start
    from tailrace.clocks.system import SystemClock
    from tailrace.compose_fleet import build_fleet_worker
    from tailrace.server.fleet import FleetProcess

    clock = SystemClock()
    opened = await open_fleet(app, chosen, clock)
    process = FleetProcess(build_fleet_worker(app, clock, opened), chosen.probes, chosen.drain / 1_000)
    ending = Ending(chosen.drain / 1_000, quiet=chosen.as_json)
    ending.stop_at_signals(process.stopping)
    try:
        ports = await _listening(process.start)
        _announce(app, opened, chosen, process, ports)
        end_of_start()
        await process.stopping.wait()
    finally:
        ending.begin()
        ending.leave(await process.stop())
    if not chosen.as_json:
        click.echo("drained: every checkpoint is saved, every shard given back", err=True)


async def open_fleet(app: "App", chosen: Chosen, clock: "Clock") -> "FleetOptions":
    """Open the state, see app and tables. Raises: SettingsError, StoreError, SourceError."""
    from tailrace.aws.places import Access
    from tailrace.compose import incarnation
    from tailrace.compose_fleet import FleetOptions
    from tailrace.server.crash_points import crash_points
    from tailrace.sources.far_projections import check_projections
    from tailrace.sources.far_tables import check_app, check_tables
    from tailrace.stores.state_targets import open_state, state_target

    start = _start(chosen.start, clock.now().wall_ms)
    access = Access(chosen.region, chosen.endpoint)
    target, is_beside = state_place(chosen.state, chosen.state_endpoint, access)
    owner = incarnation()
    state = await open_state(chosen.state, clock, owner, **target)
    words = state_target(chosen.state, **target).text
    marks = await _marks(app, chosen, access, words.partition(":")[2] if is_beside else None)
    check_app(app, has_marks=marks is not None)
    place = await check_tables(app, access)
    await check_projections(app, access, has_marks=marks is not None)
    return FleetOptions(
        owner=owner,
        state=state,
        target=words,
        access=access,
        place=place,
        close=_closer(state),
        marks=marks,
        start=start,
        lease_ms=chosen.lease,
        weight=chosen.weight,
        hand_overs=chosen.hand_overs,
        read_price=chosen.read_price,
        reached=crash_points(),
    )


async def _marks(app: "App", chosen: Chosen, access: "Access", beside: str | None) -> tuple[Any, str] | None:
    """Where marks and effects are kept: as the app, the command line or the state say; None: nowhere."""
    from tailrace.runtime.threads import in_thread
    from tailrace.stores.dynamodb_table import judge_table
    from tailrace.stores.state_targets import state_target

    if app.remote is not None:
        if chosen.marks is not None:
            raise CommandFailure(
                "The app says itself where transactions are committed, with app.transactions(…).",
                hint="leave --marks out",
            )
        verdict = await in_thread(judge_table, *app.remote)
        if verdict.finding in ("foreign", "newer"):  # marks of format 1 stay where they are
            verdict.refuse()
        return app.remote
    if chosen.marks is None:
        return None if beside is None else (access, beside)
    target = state_target(f"dynamodb:{chosen.marks}", region=access.region, endpoint_url=access.endpoint_url)
    (await target.judge()).refuse()
    return access, chosen.marks


def _start(chosen: Literal["beginning", "end"] | int, now_ms: int) -> "StartPosition":
    """Where new handlers begin. Raises: CommandFailure for a time that is still to come."""
    from tailrace.runtime.beginning import AtName, AtTime

    if not isinstance(chosen, int):
        return AtName(chosen)
    if chosen > now_ms:
        raise CommandFailure(
            f"{format_instant(chosen)} is still to come: what is written until then would be passed over.",
            hint="--start end: with what comes from now on",
        )
    return AtTime(chosen)


def _closer(state: Any) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        if hasattr(state, "close"):
            await state.close()

    return close


async def _listening(start: Callable[[], Awaitable[list[int]]]) -> list[int]:
    """Start. Raises: CommandFailure when an address is taken, or is not one of this machine's."""
    try:
        return await start()
    except OSError as error:
        raise CommandFailure(
            f"An address of --health or --metrics cannot be listened at: {error.strerror or error}.",
            hint="the same command with --health 127.0.0.1:0 (any free port), or --health off",
        ) from error


def _announce(
    app: "App", opened: "FleetOptions", chosen: Chosen, process: "FleetProcess", ports: list[int]
) -> None:
    """What runs, and where it is seen."""
    places = [(host, port, paths) for (host, _, paths), port in zip(chosen.probes, ports, strict=True)]
    urls = {path: f"http://{host}:{port}{path}" for host, port, paths in places for path in paths}
    handlers = {mapping.id: mapping.table.name for mapping in app.mappings}
    if chosen.as_json:
        began = dict(process.started)
        answer = {"app": app.name, "worker": opened.owner, "state": opened.target, "handlers": handlers}
        click.echo(json.dumps({**answer, "urls": urls, "began_at": began}))
    else:
        endpoint = chosen.endpoint or "AWS"
        click.echo(
            f"{click.style(app.name, bold=True)} reads {click.style(endpoint, fg='green')}, state in "
            f"{opened.target} · worker {opened.owner} · Ctrl-C ends it"
        )
        for handler, table in handlers.items():
            since_ms = process.started.get(handler)
            words = "" if since_ms is None else f", from {format_instant(since_ms)} on"
            click.echo(f"  {handler} ← {table}{words}")
        for url in urls.values():
            click.echo(f"  {url}")
    sys.stdout.flush()
