"""A replay as a program asks for it: words are read and refused here, and then it runs.

Rules of this file: it reads, joins and waits; what happens is trial.py's, live.py's and revisions.py's.
Called by app/replaying.py, which loads it by its name, and by the command line.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.mapping import HandlerMapping, Where
from tailrace.app.moments import Moment, moment_us
from tailrace.app.table import schema_of
from tailrace.app.typed import entity_among, key_of
from tailrace.clocks.system import SystemClock
from tailrace.errors import SettingsError
from tailrace.journal.core.moment import last_us
from tailrace.journal.run.opened_past import open_past
from tailrace.journal.run.past import PastReader
from tailrace.replays.core.effects import ReplayedChange
from tailrace.replays.core.report import ReplayReport
from tailrace.replays.core.runs import ReplayQuestion, ReplayRun
from tailrace.replays.run.calls import TRIAL, DryRun, archive_of, check_replayed
from tailrace.replays.run.live import LiveGround, LiveQuestion, Told, run_live
from tailrace.replays.run.revisions import RevisionQuestion, compared
from tailrace.replays.run.stubs import read_stubs, stubs_of
from tailrace.replays.run.trial import run_dry
from tailrace.replays.run.window_calls import check_windows
from tailrace.replays.run.window_live import run_windows

LIVE_ELSEWHERE: Final = "tailrace replay HANDLER --app app.py --since TIME --effects live --state TARGET"


Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]


class ReplayDoor(Protocol):
    """Where an app's replays run: in a world, beside its worker."""

    @property
    def overrides(self) -> Overrides:
        """What stands for providers of `Depends` there."""

    def now_us(self) -> int:
        """The time there, in microseconds since the epoch."""

    def opened(self, mapping: HandlerMapping) -> PastReader:
        """What reads an archive's journal."""

    def ground(self, mapping: HandlerMapping) -> LiveGround:
        """Where a live replay of a handler runs. Raises: SettingsError."""

    def run(self, replay: Awaitable[ReplayReport]) -> ReplayReport:
        """Let it go on to its end; waits."""


class _Alone:
    """An app that nothing runs: its journals are read from their places."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.overrides: Overrides = app.overrides

    def now_us(self) -> int:
        return now_us()

    def opened(self, mapping: HandlerMapping) -> PastReader:
        return open_past(self._app.region, mapping)

    def ground(self, mapping: HandlerMapping) -> LiveGround:
        raise SettingsError(
            f"replay: app {self._app.name!r} is not connected to anything that effects could happen in",
            hint=LIVE_ELSEWHERE,
        )

    def run(self, replay: Awaitable[ReplayReport]) -> ReplayReport:
        raise SettingsError("replay: nothing runs here", hint=LIVE_ELSEWHERE)


def now_us() -> int:
    """The last microsecond of this millisecond, by the system's clock."""
    return last_us(SystemClock().now().wall_ms)


def end_us(question: ReplayQuestion) -> int:
    """Where a replay ends that nothing runs beside: now, unless it is told. Units: microseconds."""
    return now_us() if question.until_us is None else question.until_us


class AskedReplay(Struct, frozen=True):
    """What was asked, read. Shape: `question` None: only `resume` says what."""

    mapping: HandlerMapping
    archived: HandlerMapping
    question: ReplayQuestion | None
    where: Where | str | None


def replay(
    app: App,
    place: ReplayDoor | None,
    handler: Callable[..., Any] | str,
    *,
    since: Moment | None,
    until: Moment | None,
    where: Where | str | None,
    keys: Collection[Mapping[str, Any]] | None,
    effects: str,
    stubs: Mapping[str, Callable[..., Any]] | str | Path | None,
    rate: float | None,
    resume: str | None,
    anew: bool,
    compare_with: str | None,
) -> ReplayReport:
    """As `App.replay`."""
    _check_no_loop()
    door = place or _Alone(app)
    mapping = app.mapping_of("replay", handler)
    _check_together(
        effects, stubs=stubs, rate=rate, resume=resume, anew=anew or None, compare_with=compare_with
    )
    if since is None and resume is None:
        raise SettingsError("replay: since= is missing: the time from which on changes are replayed")
    chosen = _chosen(keys, where)
    question = None
    if since is not None:
        until_us = None if until is None else moment_us(until)
        question = question_of(app, mapping, moment_us(since), until_us, chosen, where)
    check_replayed(mapping)
    check_windows(mapping, question, where)
    asked = AskedReplay(mapping, archive_of(app, mapping), question, where)
    if effects == "live":
        ground = door.ground(mapping)
        live = LiveQuestion(mapping, asked.archived, question, where, rate, resume, anew)
        return door.run(run_effects(ground, live, lambda run, notes: lambda step: None))
    assert question is not None
    until_us = door.now_us() if question.until_us is None else question.until_us
    if compare_with is not None:
        if not isinstance(where, str | None):
            raise SettingsError(
                "replay: with compare_with= where= is an event pattern: two processes judge it"
            )
        if not isinstance(stubs, str | Path | None):
            raise SettingsError("replay: with compare_with= stubs= is a file: two processes read it")
        file = None if stubs is None else Path(stubs)
        of_windows = mapping.window is not None
        return compared(
            RevisionQuestion(str(module_of(app)), question, until_us, compare_with, file, of_windows)
        )
    named = read_stubs(Path(stubs)) if isinstance(stubs, str | Path) else stubs or {}
    changes: list[ReplayedChange] = []
    dry = DryRun(
        app, mapping, question, until_us, door.opened, where, stubs_of(named, mapping), door.overrides
    )
    end = run_dry(dry, changes.append)
    return ReplayReport(TRIAL, end.counts, end.notes, tuple(changes))


def run_effects(
    ground: LiveGround, asked: LiveQuestion, told: Callable[[ReplayRun, Sequence[str]], Told]
) -> Awaitable[ReplayReport]:
    """A live replay, of changes or of windows. As `run_live`."""
    return (run_live if asked.mapping.window is None else run_windows)(ground, asked, told)


def question_of(
    app: App,
    mapping: HandlerMapping,
    since_us: int,
    until_us: int | None,
    keys: Collection[Mapping[str, Any]],
    where: Where | str | None,
) -> ReplayQuestion:
    """What is asked, as a value. Raises: SettingsError, ItemError, ApiError for a key that is none."""
    if until_us is not None and until_us <= since_us:
        raise SettingsError("replay: until is not after since", hint="name the earlier time first")
    packed = tuple(sorted(key_bytes(app, mapping, key) for key in keys))
    # A function has no text: what it is called tells it from others, and who resumes gives it again.
    named = where or "" if isinstance(where, str | None) else repr(getattr(where, "__qualname__", where))
    return ReplayQuestion(mapping.id, since_us, until_us, packed, named)


def key_bytes(app: App, mapping: HandlerMapping, key: Mapping[str, Any]) -> bytes:
    """The key of one item, by its key attributes or the fields of the handler's entity."""
    of = entity_among(app.tables)
    if mapping.entity is not None and not set(key) <= {mapping.table.pk, mapping.table.sk}:
        _, content = key_of(mapping.entity, None, key, of)
    else:
        _, content = key_of(mapping.table, key, {}, of)
    return schema_of(mapping.table).key_bytes(content)


def module_of(app: App) -> Path:
    """The file that declares an app. Raises: SettingsError."""
    for module in sys.modules.copy().values():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and any(value is app for value in [*vars(module).values()]):
            return Path(file)
    raise SettingsError(f"replay: no module has the app {app.name!r}, so no revision of it can be loaded")


def _chosen(keys: object, where: object) -> Collection[Mapping[str, Any]]:
    """The keys that are asked for; none are all. Raises: SettingsError for what would choose otherwise."""
    if isinstance(where, Mapping):
        raise SettingsError(
            "replay: where= is an event pattern as text, a predicate or a function of a change",
            hint="json.dumps(pattern) is its text",
        )
    if keys is None:
        return ()
    if isinstance(keys, Collection) and keys and all(isinstance(key, Mapping) for key in keys):
        return [key for key in keys if isinstance(key, Mapping)]
    raise SettingsError(
        f"replay: keys={keys!r} is not allowed: it names at least one item by its key",
        hint="keys=[{'id': 'o1'}]; keys=None is all of them",
    )


def _check_together(effects: str, **given: object) -> None:
    if effects not in ("dry-run", "live"):
        raise SettingsError(f"effects={effects!r} is not allowed; it is 'dry-run' or 'live'")
    only = ("rate", "resume", "anew") if effects == "dry-run" else ("stubs", "compare_with")
    for name in only:
        if given[name] is not None:
            other = "live" if effects == "dry-run" else "dry-run"
            raise SettingsError(f"replay: {name}= is of effects={other!r} alone")
    rate = given["rate"]
    if rate is not None and (not isinstance(rate, int | float) or isinstance(rate, bool) or rate <= 0):
        raise SettingsError(f"rate={rate!r} is not allowed; it is more than 0 changes a second")


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SettingsError("replay waits, and a loop runs here", hint="await app.async_replay(…)")
