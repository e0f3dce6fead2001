"""`tailrace replay HANDLER`: a handler again over changes of a journal, on trial, compared, or for real.

Rules of this file: options, words and progress; what happens is the room `replays`. Registered in `main`.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from click.core import ParameterSource
from msgspec import Struct, to_builtins

from tailrace.cli import options
from tailrace.cli.changes import counted, key_text, printable, shown
from tailrace.cli.failures import INTERRUPTED, CommandFailure
from tailrace.cli.hints import next_line
from tailrace.cli.loading import load
from tailrace.cli.past import key_in, of_app
from tailrace.cli.place import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tailrace.app.app import App
    from tailrace.app.mapping import HandlerMapping
    from tailrace.cli.telling import Bar
    from tailrace.replays.core.effects import ReplayCounts, ReplayedChange
    from tailrace.replays.core.report import ReplayReport
    from tailrace.replays.core.runs import ReplayQuestion, ReplayRun


LIVE: Final = ("rate", "resume", "anew", "state", "endpoint", "region", "state_endpoint", "marks")
TRIAL: Final = ("compare_with", "stubs")
"""Options that only one kind of replay takes."""


class ReplayChoices(Struct, frozen=True):
    """What was chosen on the command line."""

    since: str | None
    until: str | None
    where: str
    keys: tuple[str, ...]
    packed_keys: str
    effects: Literal["dry-run", "live"]
    compare_with: str | None
    stubs: Path | None
    rate: float | None
    resume: str | None
    anew: bool
    yes: bool
    app: str
    state: str | None
    endpoint: str | None
    region: str | None
    state_endpoint: str | None
    marks: str | None
    effects_to: Path | None
    progress_to: Path | None
    checkout: Path | None
    as_json: bool

    def check(self) -> None:
        """Refuse what does not go together. Raises: UsageError."""
        source = click.get_current_context().get_parameter_source
        wrong, other = (TRIAL, "dry-run") if self.effects == "live" else (LIVE, "live")
        for name in wrong:
            # TAILRACE_STATE may stand in the environment of everything.
            if source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} is of --effects {other}.")
        if self.effects == "live" and self.state is None:
            raise click.UsageError("--effects live needs --state, where the run and its marks are kept.")
        if self.since is None and self.resume is None:
            raise click.UsageError("Missing option '--since'.")


@click.command()
@click.argument("handler")
@options.options(
    click.option(
        "--since", metavar="TIME", help="The first change's time: ISO 8601 with a zone, or seconds."
    ),
    click.option("--until", metavar="TIME", help="Changes before this time; now, unless told."),
    click.option(
        "--where", metavar="PATTERN", default="", help="Only changes that match this event pattern."
    ),
    click.option(
        "--keys", multiple=True, metavar="TABLE/KEY", help="Only these items, as `tailrace why` takes them."
    ),
    click.option(
        "--effects",
        type=click.Choice(["dry-run", "live"]),
        default="dry-run",
        show_default=True,
        help="dry-run: effects are told and none leaves. live: they happen.",
    ),
    click.option(
        "--compare-with", metavar="REV", help="A git revision whose effects are compared with those of now."
    ),
    click.option(
        "--stubs",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A Python file whose `stubs`, name to function, answer calls of a dry run.",
    ),
    click.option(
        "--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="Live: changes a second."
    ),
    click.option("--resume", metavar="RUN", help="Live: go on with a run that was cut off."),
    click.option("--anew", is_flag=True, help="Live: begin anew, and forget an unfinished run of the same."),
    click.option("--yes", is_flag=True, help="Live: do not ask."),
    of_app,
    click.option(
        "--state", metavar="TARGET", envvar="TAILRACE_STATE", help="Live: as `tailrace worker` was told it."
    ),
    click.option(
        "--endpoint", callback=endpoint, metavar="URL", help="Live: where the tables are, if not AWS."
    ),
    click.option("--region", metavar="REGION", help="Live: the region of the tables."),
    click.option(
        "--state-endpoint", callback=endpoint, metavar="URL", help="Live: of --state dynamodb:TABLE."
    ),
    click.option("--marks", metavar="TABLE", help="Live: as `tailrace worker` was told it."),
    click.option("--packed-keys", default="", hidden=True),
    click.option("--effects-to", type=click.Path(path_type=Path), hidden=True),
    click.option("--progress-to", type=click.Path(path_type=Path), hidden=True),
    click.option("--checkout", type=click.Path(path_type=Path), hidden=True),
    options.as_json,
)
def replay(handler: str, **chosen: Any) -> None:
    """Call HANDLER again for changes that the journal of its table has.

    A dry run tells what the handler would do and lets nothing leave: outputs, recorded writes, dead letters.
    Reads of the app's tables are answered as of each change, time and chance are the change's own; a call of
    anything else is answered by --stubs, or what follows it is unknown, and named. --compare-with replays a
    git revision, too, groups what differs, and ends with exit code 1 when something does: the check of a pull
    request. A live replay has a run of its own, keeps the order of each item, and goes on where it was cut
    off: the same command, or --resume. A HANDLER with windows is called for those that were over between the
    times, each as it was last; live for those that are closed for good.

    \b
    Example: tailrace replay receipt --since 2026-11-01T00:00Z --app app.py
             tailrace replay receipt --since 2026-11-01T00:00Z --app app.py --compare-with HEAD~1
             tailrace replay receipt --since 2026-11-01T00:00Z --app app.py --effects live --state sqlite:s.db
    Next:    tailrace history TABLE/KEY --app app.py
    """
    from tailrace.replays.run.calls import check_replayed
    from tailrace.replays.run.window_calls import check_windows

    asked = ReplayChoices(**chosen)
    asked.check()
    loaded = load(asked.app)
    mapping = loaded.mapping_of("replay", handler)
    check_replayed(mapping)
    question = None if asked.since is None else _question(loaded, mapping, asked)
    check_windows(mapping, question, asked.where or None)
    if asked.effects == "live":
        _live(loaded, mapping, question, asked)
        return
    assert question is not None
    if asked.compare_with is not None:
        _compare(mapping, question, asked)
    else:
        _dry(loaded, mapping, question, asked)


def _question(app: "App", mapping: "HandlerMapping", asked: ReplayChoices) -> "ReplayQuestion":
    from msgspec.structs import replace

    from tailrace.app.moments import moment_us
    from tailrace.app.table import schema_of
    from tailrace.replays.run.asking import question_of

    assert asked.since is not None
    until_us = None if asked.until is None else moment_us(asked.until)
    question = question_of(app, mapping, moment_us(asked.since), until_us, (), asked.where)
    packed = [bytes.fromhex(text) for text in asked.packed_keys.split(",") if text]
    schema = schema_of(mapping.table)
    return replace(question, keys=tuple(sorted([*packed, *(key_in(schema, text) for text in asked.keys)])))


# ---- on trial ----------------------------------------------------------------------------------------------


def _dry(app: "App", mapping: "HandlerMapping", question: "ReplayQuestion", asked: ReplayChoices) -> None:
    from contextlib import ExitStack
    from functools import partial

    from tailrace.app.code_version import file_of
    from tailrace.journal.run.opened_past import open_past
    from tailrace.replays.core.effects import line_of
    from tailrace.replays.run.asking import end_us, module_of
    from tailrace.replays.run.calls import DryRun
    from tailrace.replays.run.revisions import check_loaded
    from tailrace.replays.run.stubs import read_stubs, stubs_of
    from tailrace.replays.run.trial import run_dry

    if asked.checkout is not None:
        check_loaded([module_of(app), file_of(mapping.target)], asked.checkout)
    stubs = stubs_of({} if asked.stubs is None else read_stubs(asked.stubs), mapping)
    until_us = end_us(question)
    opener, where = partial(open_past, app.region), asked.where or None
    dry = DryRun(app, mapping, question, until_us, opener, where, stubs, app.overrides, alone=True)
    with ExitStack() as opened:
        if asked.effects_to is not None:
            lines = opened.enter_context(asked.effects_to.open("wb"))
            emit: Callable[[ReplayedChange], Any] = lambda change: lines.write(line_of(change))  # noqa: E731
        else:
            emit = _tell_json if asked.as_json else partial(_tell_change, mapping.table.name)
        told = opened.enter_context(_told_by(asked))
        end = run_dry(dry, emit, told)
        if asked.effects_to is not None:
            lines.write(line_of(end))
            return
    if asked.as_json:
        click.echo(json.dumps({"end": True, "counts": to_builtins(end.counts), "notes": list(end.notes)}))
        return
    for words in end.notes:
        click.echo(f"  {words}", err=True)
    counts = end.counts
    click.echo(
        f"{_counts_words(mapping, counts, 'of')}: "
        f"{counted(counts.effects, 'effect')}, none of them sent; {counts.unknown:,} unknown after a call",
        err=True,
    )
    if counts.unknown and asked.stubs is None:
        click.echo(next_line("--stubs FILE answers calls: docs/replay.md"), err=True)


def _tell_json(change: "ReplayedChange") -> None:
    import orjson

    effects = [
        {
            "kind": effect.kind,
            "target": effect.target,
            "key": orjson.Fragment(effect.key) if effect.key else None,
            "body": orjson.Fragment(effect.body),  # with every digit of its numbers
        }
        for effect in change.effects
    ]
    row = {**to_builtins(change), "key": orjson.Fragment(change.key), "effects": effects}
    if (window := change.window) is None:
        del row["window"]
    else:
        items = [orjson.Fragment(item) for item in window.items]
        row["window"] = {
            "key": orjson.Fragment(window.key),
            "start_ms": window.start_ms,
            "end_ms": window.end_ms,
            "items": items,
        }
    click.echo(orjson.dumps(row))


def _tell_change(table: str, change: "ReplayedChange") -> None:
    from tailrace.journal.core.moment import spoken

    if (window := change.window) is not None:
        edges = (spoken(ms * 1_000) for ms in (window.start_ms, window.end_ms))
        start, end = (click.style(edge, dim=True) for edge in edges)
        who = click.style(printable(window.key), bold=True)
        click.echo(f"{start} to {end}  {who}  {counted(len(window.items), 'item')}")
    else:
        who = click.style(f"{table}/{key_text(json.loads(change.key))}", bold=True)
        click.echo(f"{click.style(spoken(change.created_us), dim=True)}  {change.event:6}  {who}")
    for effect in change.effects:
        key = f" {key_text(json.loads(effect.key))}" if effect.key else ""
        click.echo(f"    {effect.kind} {printable(effect.target)}{key}  {shown(printable(effect.body))}")
    if change.unknown:
        click.echo(click.style(f"    unknown after {printable(change.unknown)}", fg="magenta"))


@contextmanager
def _told_by(asked: ReplayChoices) -> "Iterator[Callable[[ReplayCounts, int], None] | None]":
    """What is told how far a dry run is; None: nobody wants to know."""
    if asked.progress_to is not None:
        from tailrace.clocks.system import SystemClock
        from tailrace.replays.run.revisions import Reporting

        with asked.progress_to.open("w") as lines:
            yield Reporting(lines, SystemClock())
    elif asked.as_json:
        yield None
    else:
        from tailrace.cli.telling import Bar

        with Bar("replaying on trial", "change") as bar:
            yield lambda counts, total: bar.show(counts.changes, total)


# ---- compared ----------------------------------------------------------------------------------------------


def _compare(mapping: "HandlerMapping", question: "ReplayQuestion", asked: ReplayChoices) -> None:
    from tailrace.cli.replay_comparison import comparison_json, tell_comparison
    from tailrace.cli.telling import Bar
    from tailrace.replays.run.asking import end_us
    from tailrace.replays.run.revisions import RevisionQuestion, compared

    assert asked.compare_with is not None
    until_us = end_us(question)
    revision = asked.compare_with
    if not asked.as_json:
        click.echo(f"{mapping.id}: effects of {printable(revision)} and of the working tree", err=True)
    of_windows = mapping.window is not None
    question_of_both = RevisionQuestion(asked.app, question, until_us, revision, asked.stubs, of_windows)
    with Bar("replaying both", "change", quiet=asked.as_json) as bar:
        report = compared(question_of_both, bar.show)
    if asked.as_json:
        click.echo(json.dumps(comparison_json(report)))
    else:
        tell_comparison(report, mapping.table.name, revision)
    if report.differences:
        click.get_current_context().exit(1)


# ---- live --------------------------------------------------------------------------------------------------


class _Progress:
    """Says how far a live replay is, and how it is resumed."""

    def __init__(self, bar: "Bar", *, as_json: bool) -> None:
        self._bar = bar
        self._as_json = as_json
        self.run: ReplayRun | None = None

    def begin(self, run: "ReplayRun", notes: "Sequence[str]") -> "Callable[[ReplayRun], None]":
        """The run begins or goes on."""
        if not self._as_json:
            for words in notes:
                click.echo(f"  {words}", err=True)
            goes_on = f", on from {run.done:,}" if run.taken > 1 else ""
            what = counted(run.total, "change" if run.border_ms is None else "window")
            click.echo(f"replay {run.id} of {run.handler}: {what}{goes_on}", err=True)
        self.step(run)
        return self.step

    def step(self, run: "ReplayRun") -> None:
        """It is further."""
        self.run = run
        self._bar.show(run.done, run.total)


def _live(
    app: "App", mapping: "HandlerMapping", question: "ReplayQuestion | None", asked: ReplayChoices
) -> None:
    from tailrace.cli.running import run_loop
    from tailrace.cli.telling import Bar
    from tailrace.cli.worker import require_aws
    from tailrace.replays.run.calls import archive_of

    archived = archive_of(app, mapping)
    require_aws()
    _confirm(mapping, asked)
    if mapping.window is not None and not asked.as_json:
        click.echo("reading the journal, to know which windows it has", err=True)
    bar = Bar("replaying", "change" if mapping.window is None else "window", quiet=asked.as_json)
    progress = _Progress(bar, as_json=asked.as_json)
    try:
        with bar:
            report = run_loop(_run_live(app, mapping, archived, question, asked, progress))
    except KeyboardInterrupt:
        if progress.run is not None:
            again = f"the same command, or: tailrace replay {mapping.id} … --resume {progress.run.id}"
            click.echo(
                f"\ncut off after {progress.run.done:,} of {progress.run.total:,}; it goes on with {again}",
                err=True,
            )
        click.get_current_context().exit(INTERRUPTED)
    counts = report.counts
    if asked.as_json:
        done = {"run": report.run_id, "changes": counts.changes, "called": counts.called}
        click.echo(json.dumps({**done, "notes": list(report.notes)}))
    else:
        click.echo(f"replayed {_counts_words(mapping, counts, 'told by')}")


def _counts_words(mapping: "HandlerMapping", counts: "ReplayCounts", of: str) -> str:
    """What was read, and for what the handler was called."""
    called = f"{counts.called:,} reached"
    if mapping.window is not None:
        called = f"{counted(counts.called, 'window')} {of}"
    return f"{counted(counts.changes, 'change')}, {called} {mapping.id}"


def _confirm(mapping: "HandlerMapping", asked: ReplayChoices) -> None:
    if asked.yes:
        return
    click.echo(f"{mapping.id} is called again and its effects happen: outputs, writes, calls", err=True)
    if not sys.stdin.isatty():
        raise CommandFailure(
            "Nobody is here to be asked.", hint="the same command with --yes, or as a dry run"
        )
    click.confirm("Begin?", abort=True, err=True)


async def _run_live(
    app: "App",
    mapping: "HandlerMapping",
    archived: "HandlerMapping",
    question: "ReplayQuestion | None",
    asked: ReplayChoices,
    progress: _Progress,
) -> "ReplayReport":
    from functools import partial

    from tailrace.cli.worker import Chosen, open_fleet
    from tailrace.clocks.system import SystemClock
    from tailrace.compose import incarnation
    from tailrace.compose_fleet import far_replays
    from tailrace.journal.run.opened_past import open_past
    from tailrace.replays.run.asking import run_effects
    from tailrace.replays.run.live import LiveGround, LiveQuestion

    assert asked.state is not None
    clock = SystemClock()
    far = Chosen(
        state=asked.state, endpoint=asked.endpoint, region=asked.region, marks=asked.marks,
        state_endpoint=asked.state_endpoint, start="end", lease=10_000, weight=1, hand_overs=4,
        read_price=None, health=None, metrics=None, drain=30_000, log_format="text", verbose=False,
        as_json=asked.as_json,
    )  # fmt: skip
    opened = await open_fleet(app, far, clock)
    far_side = far_replays(app, clock, opened)
    ground = LiveGround(
        app.name,
        opened.place.region,
        opened.state,
        clock,
        far_side.sink_of,
        partial(open_past, app.region),
        incarnation,
        far_side.retelling,
    )
    live = LiveQuestion(
        mapping, archived, question, asked.where or None, asked.rate, asked.resume, asked.anew
    )
    try:
        return await run_effects(ground, live, progress.begin)
    finally:
        await far_side.ended()
        await opened.close()
