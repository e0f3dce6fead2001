"""`tailrace plan HANDLER`: what a handler's settings will do under traffic, before it is deployed.

Rules of this file: options and how they are read; what is decided is the room `planning`, what is said is
plan_telling.py's. Registered in `main`.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from tailrace.cli import options
from tailrace.cli.durations import duration
from tailrace.cli.failures import CommandFailure
from tailrace.cli.live_stream import StreamPlace, live_stream, stream_of
from tailrace.cli.loading import load
from tailrace.cli.place import NodeAt, Place

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.app.mapping import HandlerMapping
    from tailrace.planning.core.durations import ServiceTimes
    from tailrace.planning.core.traffic import PlannedTraffic
    from tailrace.planning.run.planned import PlannedPlace

CHANGES: Final = 1_000_000
"""About so many a plan tries over all of its settings, unless it is told how long traffic lasts."""
LEAST_US, MOST_US = 20_000_000, 600_000_000
"""The least and the most that described traffic lasts then."""
SHARD_UNITS: Final = 1_000
"""Write units a second of a partition, and so of a shard, at the least. Source: semantics §6."""
WORKER_HOUR: Final = 0.0168
"""US dollars for an hour of a small machine, an example."""


class PlanChoices(Struct, frozen=True):
    """What was chosen on the command line. Units: durations in milliseconds."""

    more: tuple[str, ...]
    rate: str | None
    lasts: int | None
    keys: str
    item_size: str
    recorded: int | None
    duration_of: str | None
    metrics: tuple[str, ...]
    sweep: tuple[str, ...]
    shards: int | None
    on: str | None
    workers: int
    most: int | None
    memory: int | None
    price: tuple[str, ...]
    seed: int
    app: str
    typed: StreamPlace
    as_json: bool

    def check(self) -> None:
        """Refuse what does not go together. Raises: UsageError."""
        if self.rate is not None and self.recorded is not None:
            raise click.UsageError("Traffic is described by --rate or taken by --recorded, not both.")
        if self.rate is None and self.recorded is None:
            raise click.UsageError(
                "Say what traffic there is: --rate 5000/s describes it, --recorded 1h takes what was written."
            )
        if self.recorded is not None and self.lasts is not None:
            raise click.UsageError("--for is of described traffic: --recorded says how long itself.")
        stray = [word for word in self.more if "=" not in word]
        if stray:
            raise click.UsageError(
                f"{stray[0]!r} is no setting: a sweep is NAME=VALUES, such as batch_size=10,100."
            )

    @property
    def words(self) -> list[str]:
        """The words of the sweep, wherever they stood."""
        return [word for text in (*self.sweep, *self.more) for word in text.split()]


@click.command()
@click.argument("handler")
@click.argument("more", nargs=-1, metavar="[NAME=VALUES]...")
@options.options(
    click.option(
        "--rate", metavar="RATE", help="Changes that reach it: 5000/s, or 200/s:5m,5000/s:30s,200/s."
    ),
    click.option(
        "--for", "lasts", callback=duration, metavar="DURATION",
        help="How long traffic lasts. Unless told, about a million changes over all settings, 20s to 10m.",
    ),
    click.option(
        "--keys", default="uniform:10000", show_default=True, metavar="KEYS",
        help="How changes spread over items: uniform:N, zipf:S[:N], hot:P%[:N].",
    ),
    click.option(
        "--item-size", default="1KB", show_default=True, metavar="SIZE", help="Of one image of an item."
    ),
    click.option(
        "--recorded", callback=duration, metavar="DURATION",
        help="What was written in the last hour, say: from the table's journal, and its live stream.",
    ),
    click.option(
        "--duration", "duration_of", metavar="TIME",
        help="What a change takes (app.on), or a call (others): 20ms, exp:20ms, p50=10ms,p99=200ms, "
        "50ms/call+1ms/change. Unless told: as it was measured.",
    ),
    click.option(
        "--metrics", multiple=True, metavar="URL",
        help="Where it was measured: http://host:8181/metrics. Unless told, a node that runs here.",
    ),
    click.option(
        "--sweep", multiple=True, metavar="NAME=VALUES",
        help="Settings to compare: concurrency=1..8, ParallelizationFactor=1..10, batch_size=10,100, "
        "shards=1..16. Further ones may follow.",
    ),
    click.option(
        "--shards", type=click.IntRange(1, 10_000), metavar="N",
        help="Shards of the stream. Unless told: one for each 1,000 write units a second, or as recorded.",
    ),
    click.option(
        "--on", type=click.Choice(["dev", "worker", "lambda"]),
        help="Where it runs, and so how its stream is read. Unless told: functions on lambda, others by "
        "worker.",
    ),
    click.option(
        "--workers", type=click.IntRange(1, 10_000), default=1, show_default=True, metavar="N",
        help="Workers that share the shards.",
    ),
    click.option(
        "--most", type=click.IntRange(1, 1_000_000), metavar="N",
        help="Calls at once in all shards: an account's limit. Unless told, the threads of the workers.",
    ),
    click.option(
        "--memory", type=click.IntRange(128, 10_240), metavar="MB",
        help="Memory of the function. Unless told: its MemorySize.",
    ),
    click.option("--price", multiple=True, metavar="NAME=USD", help="Another price; they are listed below."),
    click.option("--seed", type=int, default=1, show_default=True, help="Another one, other chances."),
    click.option("--app", required=True, metavar="APP", help="Where the handler is: a file or a module."),
    *stream_of,
    options.as_json,
)  # fmt: skip
def plan(
    handler: str, place: Place, endpoint: str | None, region: str | None, no_stream: bool, **chosen: Any
) -> None:
    """See what settings of HANDLER will do: lag, throughput, concurrency used, calls, cost, and why.

    The machine that delivers runs under virtual time over traffic that is described or was recorded: nothing
    is called, nothing is written, and a million changes take seconds. One setting is the handler's own; a
    sweep compares others, and says where more concurrency stops helping and what would help.

    \b
    Prices:  invocation, gb-second, stream-read, write (for a million), worker-hour
    Example: tailrace plan receipt --app app.py --rate 5000/s --duration 20ms
             tailrace plan receipt --app app.py --rate 5000/s --keys zipf:1.1 --sweep concurrency=1..8
             tailrace plan tally --app app.py --rate 200/s:5m,5000/s:1m --duration p50=10ms,p99=200ms
                 --sweep ParallelizationFactor=1..10 BatchSize=10,100,1000
             tailrace plan receipt --app app.py --recorded 1h --sweep concurrency=1,2,4 --json
    Next:    tailrace status
    """
    asked = PlanChoices(**chosen, typed=StreamPlace(place, endpoint, region, no_stream))
    asked.check()
    app = load(asked.app)
    mapping = app.mapping_of("plan", handler)
    planned(app, mapping, asked)


def planned(app: "App", mapping: "HandlerMapping", asked: PlanChoices) -> None:
    """Run the plan and say what it comes to. Raises: SettingsError, CommandFailure; what recorded traffic
    raises.
    """
    from tailrace.cli.plan_telling import PlanAnswer, lines, value
    from tailrace.cli.telling import Bar
    from tailrace.planning.core.bottlenecks import PlannedCase
    from tailrace.planning.core.sweep import planned_settings, read_sweep
    from tailrace.planning.run.planned import base_settings, run_plan

    where = _place(mapping, asked)
    sweep = read_sweep(asked.words)
    times = _times(mapping, asked)
    over, shards, notes = _traffic(
        app, mapping, asked, len(planned_settings(base_settings(mapping), 1, sweep))
    )
    settings = planned_settings(base_settings(mapping), asked.shards or shards, sweep)
    prices = _prices(asked.price)
    figures, traffic = [], None
    with Bar(f"{mapping.id}: planning", "change", quiet=asked.as_json) as bar:
        for step in run_plan(mapping, settings, over, times, where):
            bar.show(step.done, step.total)
            if step.figures is not None:
                figures.append(step.figures)
                traffic = traffic or step.traffic
    assert traffic is not None
    case = PlannedCase(traffic, times, where.calls(mapping, settings[0].settings), where.kind != "dev")
    memory = asked.memory or mapping.function.memory_mb
    answer = PlanAnswer(mapping, figures, case, where, prices, memory, asked.seed, tuple(notes))
    if asked.as_json:
        click.echo(json.dumps(value(answer)))
        return
    for line in lines(answer):
        click.echo(line)


def _place(mapping: "HandlerMapping", asked: PlanChoices) -> "PlannedPlace":
    from tailrace.planning.run.planned import PlannedPlace

    kind: Any = asked.on or ("lambda" if mapping.kind == "function" else "worker")
    if kind == "lambda" and mapping.kind != "function":
        raise CommandFailure(
            f"{mapping.id!r} is no function: on Lambda its batches come from AWS's event source mapping, in "
            "lanes",
            hint=f"tailrace explain --on lambda {asked.app} says its settings; app.function(…) with them can "
            "be planned",
        )
    return PlannedPlace(kind, asked.workers, asked.most)


# ---- how long it takes -------------------------------------------------------------------------------------


def _times(mapping: "HandlerMapping", asked: PlanChoices) -> "ServiceTimes":
    from tailrace.planning.core.durations import read_service
    from tailrace.planning.run.planned import unit_of

    unit = unit_of(mapping)
    if asked.duration_of is not None:
        return read_service(asked.duration_of, unit, asked.seed)
    from tailrace.planning.run.measured import read_calls_of, service_of

    try:
        texts = _expositions(asked)
        times = service_of(read_calls_of(mapping.id, texts), unit, asked.seed)
    except (OSError, ValueError) as error:
        raise CommandFailure(
            f"How long {mapping.id!r} takes could not be read: {error}.", hint="--duration 20ms says it"
        ) from error
    if times is None:
        raise CommandFailure(
            f"How long {mapping.id!r} takes is not known: no call of it was measured here.",
            hint="--duration 20ms says it, --metrics http://host:8181/metrics where it was measured",
        )
    return times


def _expositions(asked: PlanChoices) -> list[str]:
    """What the processes tell that were named, else a node that runs here. Raises: OSError, ValueError."""
    from tailrace.cli.scraping import exposition

    if asked.metrics:
        return [exposition(url) for url in asked.metrics]
    port = _port_of(asked.typed.place)
    if port is None:
        return []
    with suppress(OSError, ValueError):
        return [exposition(f"http://127.0.0.1:{port}/metrics")]
    return []


def _port_of(place: Place) -> int | None:
    """Where the node of a place listens; None: none runs."""
    from tailrace.server import nodes

    if isinstance(place, NodeAt):
        return place.port
    if not isinstance(place, Path):
        return None
    for port in nodes.running():
        directory = nodes.directory_of(port)
        if directory is not None and directory.resolve() == place.resolve():
            return port
    return None


# ---- what is written ---------------------------------------------------------------------------------------


def _traffic(
    app: "App", mapping: "HandlerMapping", asked: PlanChoices, count: int
) -> tuple[Callable[[int], "PlannedTraffic"], int, Sequence[str]]:
    """Traffic over any number of shards, how many it has by itself, and what is not known of it."""
    if asked.recorded is not None:
        return _recorded(app, mapping, asked, asked.recorded)
    from tailrace.planning.core.quantities import item_bytes
    from tailrace.planning.core.traffic import KeyShares, RateProfile
    from tailrace.planning.run.planned import described

    assert asked.rate is not None
    profile = RateProfile.read(asked.rate)
    size = item_bytes("item size", asked.item_size)
    fastest = max(rate for rate, _ in profile.parts)
    if asked.lasts is None:
        rest_us = min(max(int(CHANGES / count / max(fastest, 1e-6) * 1_000_000), LEAST_US), MOST_US)
    elif profile.is_open:
        rest_us = asked.lasts * 1_000
    else:
        raise click.UsageError(f"--for: --rate {asked.rate} says how long it lasts itself.")
    over = described(profile, KeyShares.read(asked.keys), size, rest_us, Random(asked.seed).random)
    return over, max(1, ceil(fastest * ceil(size / 1_024) / SHARD_UNITS)), ()


def _recorded(
    app: "App", mapping: "HandlerMapping", asked: PlanChoices, lasts_ms: int
) -> tuple[Callable[[int], "PlannedTraffic"], int, Sequence[str]]:
    from tailrace.cli.durations import format_duration
    from tailrace.cli.running import run_loop
    from tailrace.cli.telling import Bar
    from tailrace.clocks.system import SystemClock
    from tailrace.planning.run.recorded import RecordedTime, read_recorded

    stream = live_stream(app, asked.typed)
    until_us = SystemClock().now().wall_ms * 1_000
    time = RecordedTime(until_us - lasts_ms * 1_000, until_us)
    with Bar(f"{mapping.table.name}: reading", "change", quiet=asked.as_json) as bar:
        recorded = run_loop(read_recorded(app, mapping, time, stream, bar.show))
    text = f"{mapping.table.name}, recorded in the last {format_duration(lasts_ms)}"
    return lambda shards: recorded.traffic(text, shards), max(1, len(recorded.shards)), recorded.notes


def _prices(said: Sequence[str]) -> dict[str, float]:
    from tailrace.aws.prices import PRICES
    from tailrace.planning.core.costs import read_prices

    defaults = {
        "invocation": PRICES["invocation"].usd_per_million,
        "gb-second": PRICES["gb-second"].usd_per_million,
        "stream-read": PRICES["stream read"].usd_per_million,
        "write": PRICES["write"].usd_per_million,
        "worker-hour": WORKER_HOUR,
    }
    pairs = [text.partition("=") for text in said]
    for name, equals, _ in pairs:
        if not equals:
            raise click.UsageError(f"--price {name}: write NAME=USD, such as --price worker-hour=0.10.")
    return read_prices(defaults, {name: text for name, _, text in pairs})
