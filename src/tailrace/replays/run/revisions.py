"""Two revisions of a handler side by side: a checkout of the other one, a process for each, and what differs.

Theory of operation: the other revision is checked out beside the repository, by git, and both are replayed on
trial by processes of their own: in the same environment, which files of requirements must not contradict, in
the same directory, so that journals are found, and with the same hashes of texts. Each writes its effects as
lines; what differs is told from these. The checkout goes in any case.
Rules of this file: nothing of the repository is changed. A revision whose code was loaded from elsewhere (it
is installed) is refused rather than compared with itself. Called by asking.py and the command line.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

import msgspec
from msgspec import Struct

from tailrace.errors import SettingsError, Unavailable
from tailrace.ports import Clock
from tailrace.replays.core.differences import EffectComparison, paired
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange, ReplayEnd, read_lines
from tailrace.replays.core.environment import differing_environments, says_what_is_installed
from tailrace.replays.core.report import ReplayReport
from tailrace.replays.core.runs import ReplayQuestion

NOW: Final = "now"
BEFORE: Final = "before"
SIDES: Final = (BEFORE, NOW)
LOOK_MS: Final = 200
"""How often it is looked how far both are."""


class RevisionQuestion(Struct, frozen=True):
    """What is compared. Shape: `app` as it is typed, a file or `package.module:name`; `revision` as git takes
    it; `stubs` a file; `is_of_windows`: each revision has windows of its own. Units: `until_us` since the
    epoch.
    """

    app: str
    question: ReplayQuestion
    until_us: int
    revision: str
    stubs: Path | None = None
    is_of_windows: bool = False

    @property
    def arguments(self) -> list[str]:
        """What both processes are told."""
        asked = self.question
        told = [asked.handler, "--since", _seconds(asked.since_us), "--until", _seconds(self.until_us)]
        if asked.where:
            told += ["--where", asked.where]
        if asked.keys:
            told += ["--packed-keys", ",".join(key.hex() for key in asked.keys)]
        if self.stubs is not None:
            told += ["--stubs", str(self.stubs.resolve())]
        return told


class Reporting:
    """Writes down how far one of the two is, for who waits for both."""

    def __init__(self, lines: IO[str], clock: Clock) -> None:
        self._lines = lines
        self._clock = clock
        self._due_ms = 0

    def __call__(self, counts: ReplayCounts, total: int) -> None:
        """So far."""
        now_ms = self._clock.now().monotonic_ms
        if now_ms >= self._due_ms or counts.changes == total:
            self._due_ms = now_ms + LOOK_MS
            self._lines.write(f"{counts.changes} {total}\n")
            self._lines.flush()


def reported(files: Iterable[Path]) -> tuple[int, int | None]:
    """How far both are together, and of how much; None: one of them has not said it yet."""
    done, totals = 0, list[int]()
    for file in files:
        lines = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
        if lines:
            so_far, total = map(int, lines[-1].split())
            done, totals = done + so_far, [*totals, total]
    return done, sum(totals) if len(totals) == len(SIDES) else None


def compared(
    asked: RevisionQuestion, told: Callable[[int, int | None], None] = lambda done, total: None
) -> ReplayReport:
    """Replay both revisions on trial and compare them; waits. `told` is told how far both are together.

    Raises:  SettingsError for a revision that is none, or that asks for another environment, and with what a
             revision's process said; Unavailable for one that was cut off.
    """
    root = Path(_git(Path.cwd(), "rev-parse", "--show-toplevel"))
    commit = _commit(root, asked.revision)
    _check_environment(root, commit, asked)
    with TemporaryDirectory(prefix="tailrace-replay-") as folder, _checkout(root, commit, folder) as checkout:
        lines = {name: Path(folder) / f"{name}.lines" for name in SIDES}
        processes = {
            BEFORE: _begun(asked, root, checkout, lines[BEFORE]),
            NOW: _begun(asked, root, root, lines[NOW]),
        }
        try:
            for name, process in processes.items():
                said = _waited(process, lambda: told(*reported(_progress(file) for file in lines.values())))
                if process.returncode:
                    whose = asked.revision if name == BEFORE else "the working tree"
                    words, hint = _words(said)
                    raise SettingsError(f"replay of {whose}: {words}", hint=hint)
        finally:
            for process in processes.values():
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        return _report(asked, lines[BEFORE], lines[NOW])


def _progress(lines: Path) -> Path:
    """Where a process says how far it is, beside what it did."""
    return lines.with_suffix(".progress")


def _waited(process: subprocess.Popen[str], told: Callable[[], None]) -> str:
    """What a process has said, when it has ended."""
    while True:
        try:
            return process.communicate(timeout=LOOK_MS / 1_000)[1]
        except subprocess.TimeoutExpired:
            told()


def _report(asked: RevisionQuestion, before: Path, now: Path) -> ReplayReport:
    comparison = EffectComparison()
    with before.open("rb") as earlier, now.open("rb") as later:
        ends: dict[str, ReplayEnd] = {}
        pairs = paired(_changes(earlier, ends, BEFORE), _changes(later, ends, NOW))
        try:
            for one, other in pairs:
                comparison.compare(asked.question.handler, one, other)
        except (ValueError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"the two replays did not read the same changes: {error}", hint="ask again"
            ) from error
    if {*ends} != {BEFORE, NOW}:
        raise Unavailable("a replay was cut off: its effects are not all there", hint="ask again")
    if ends[BEFORE].counts.changes != ends[NOW].counts.changes:
        raise Unavailable(
            "the journal has changed between the two replays", hint="ask again, with an earlier --until"
        )
    counts = ends[NOW].counts
    unknown = sum(comparison.unknown.values())
    if asked.is_of_windows:
        comparison.windows = comparison.compared + unknown
    else:
        # Changes for which neither does anything were compared, too, and are in neither's lines.
        comparison.compared = counts.changes - unknown
    notes = ends[NOW].notes
    if not any(end.counts.called for end in ends.values()):
        handler = asked.question.handler
        notes += (
            f"nothing reached {handler} in either revision, so nothing says that they do the same: look at "
            "the times, the keys and the pattern",
        )
    return ReplayReport(f"{asked.revision}..", counts, notes, (), comparison)


def _changes(lines: IO[bytes], ends: dict[str, ReplayEnd], name: str) -> Iterator[ReplayedChange]:
    for line in read_lines(lines):
        if isinstance(line, ReplayEnd):
            ends[name] = line
            return
        yield line


# ---- git ---------------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SettingsError("compare-with: git is not installed here", hint="install git") from error
    if done.returncode:
        raise SettingsError(f"compare-with: git {arguments[0]}: {done.stderr.strip() or 'it failed'}")
    return done.stdout.rstrip("\n")


def _commit(root: Path, revision: str) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except SettingsError as error:
        raise SettingsError(
            f"compare-with: {revision!r} is no revision of {root}", hint="a commit, a branch or a tag: HEAD~1"
        ) from error


def _check_environment(root: Path, commit: str, asked: RevisionQuestion) -> None:
    """Refuse a revision that asks for other packages than the working tree. Raises: SettingsError."""
    place = Path(asked.app).resolve().parent if asked.app.endswith(".py") else Path.cwd()
    folder = place.relative_to(root).as_posix() if place.is_relative_to(root) else ""
    says = partial(says_what_is_installed, folder="" if folder == "." else folder)
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    before = {path: _git(root, "show", f"{commit}:{path}") for path in listed if says(path)}
    present = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    now = {
        path: (root / path).read_text(encoding="utf-8", errors="replace").rstrip("\n")
        for path in present
        if says(path) and (root / path).is_file()
    }
    if differing := differing_environments(before, now):
        raise SettingsError(
            f"compare-with: {asked.revision} asks for another environment than this one: "
            f"{', '.join(differing)}; what differed could be the packages' doing",
            hint="compare with a revision that has the same requirements",
        )


@contextmanager
def _checkout(root: Path, commit: str, folder: str) -> Iterator[Path]:
    checkout = Path(folder) / "checkout"
    _git(root, "worktree", "prune")  # of runs that were killed
    _git(root, "worktree", "add", "--detach", "--quiet", str(checkout), commit)
    try:
        yield checkout.resolve()
    finally:
        _git(root, "worktree", "remove", "--force", str(checkout))


# ---- processes ---------------------------------------------------------------------------------------------


def _begun(asked: RevisionQuestion, root: Path, checkout: Path, lines: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-m", "tailrace", "replay", *asked.arguments]
    command += [
        "--app",
        _app(asked.app, root, checkout),
        "--effects-to",
        str(lines),
        "--progress-to",
        str(_progress(lines)),
        "--checkout",
        str(checkout),
    ]
    return subprocess.Popen(
        command, env=_environment(root, checkout), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _app(app: str, root: Path, checkout: Path) -> str:
    """The app in a checkout. Raises: SettingsError for a file outside of the repository."""
    if not app.endswith(".py"):
        return app
    file = Path(app).resolve()
    if not file.is_relative_to(root):
        raise SettingsError(f"compare-with: {app} is not in the repository {root}")
    return str(checkout / file.relative_to(root))


def _environment(root: Path, checkout: Path) -> Mapping[str, str]:
    """The same for both, but for where modules of the repository are found."""
    installed = Path(sysconfig.get_path("purelib")).resolve(), Path(sys.prefix).resolve()
    paths = dict.fromkeys(Path(path or ".").resolve() for path in (str(Path.cwd()), *sys.path))
    own = [
        path
        for path in paths
        if path.is_relative_to(root) and not any(path.is_relative_to(place) for place in installed)
    ]
    moved = [str(checkout / path.relative_to(root)) for path in own]
    # The directory itself is last: a module of it is never taken for the other revision's.
    others = [str(path) for path in paths if path not in own and path.is_dir()] + [str(Path.cwd())]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*moved, *others]), "PYTHONHASHSEED": "0"}


def _words(said: str) -> tuple[str, str | None]:
    """The message of a process that failed, and the command that it named.

    >>> _words("error: there is no file app.py\\n  next: name one\\n")
    ('there is no file app.py', 'name one')
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    message, _, hint = " ".join(lines).partition(" next: ")
    return message.removeprefix("error: ") or "it ended without a word", hint or None


def _seconds(us: int) -> str:
    return f"{Decimal(us) / 1_000_000:.6f}"


def check_loaded(files: Iterable[Path | None], checkout: Path) -> None:
    """Require that code is that of a checkout, as far as it has files. Raises: SettingsError."""
    for file in files:
        if file is not None and not file.resolve().is_relative_to(checkout):
            raise SettingsError(
                f"its code was loaded from {file}, not from {checkout}",
                hint="name the app by its file, such as --app app.py",
            )
