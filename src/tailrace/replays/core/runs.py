"""One live replay: what was asked, how far it is, and the row that says so.

Theory of operation: a run has an id of its own, under which its marks are, and a row: where it stands and how
often it was taken up. Who takes it up raises that number; a save of any other is refused, so two processes
cannot both go on. The same question asked again while a run of it is unfinished means that run.
Rules of this file: pure; values and their rows. Format: docs/formats/state.md.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import REPLAY
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable
from tailrace.streams.version import NOTHING, Version

OF_WINDOWS: Final = 2
"""The format of a run that tells windows: an older version would go through changes."""


class ReplayQuestion(Struct, frozen=True):
    """What is replayed. Shape: `since_us` is in, `until_us` out; `keys` are the only items, none: all;
    `where` as it was typed. Units: microseconds since the epoch.
    """

    handler: str
    since_us: int
    until_us: int | None = None
    keys: tuple[bytes, ...] = ()
    where: str = ""

    @property
    def name(self) -> str:
        """The same for the same question."""
        keys = sorted(key.hex() for key in self.keys)
        text = "\x00".join([self.handler, str(self.since_us), str(self.until_us), self.where, *keys])
        return sha256(text.encode()).hexdigest()[:16]


class Reached(Struct, frozen=True):
    """How far a run is, in the order in which it goes: after this change of this shard."""

    version: Version = NOTHING
    shard: str = ""

    def is_before(self, version: Version, shard: str) -> bool:
        """Whether a change is still to be handled."""
        return (self.version, self.shard) < (version, shard)


class ReplayRun(Struct, frozen=True):
    """A live replay that is not finished.

    Shape:   `question` is the name of what was asked, `keys` (in hexadecimal) and `where` are of it;
             `until_us` is the end, which stands from its begin on; `taken` says how often it was taken up;
             `done` of `total` changes were read, `called` of them reached the handler. `stopped` says why it
             stands still, "". Of windows, which are counted instead, `told` is the last one, by end, group
             and start; those that ended after `border_ms` are told live.
    Units:   times since the epoch, in us where they say so, else ms.
    """

    id: str
    handler: str
    question: str
    since_us: int
    until_us: int
    begun_ms: int
    keys: tuple[str, ...] = ()
    where: str = ""
    taken: int = 1
    reached: Reached = Reached()
    total: int = 0
    done: int = 0
    called: int = 0
    saved_ms: int = 0
    stopped: str = ""
    border_ms: int | None = None
    told: tuple[int, str, int] | None = None

    def fields(self) -> dict[str, Any]:
        """Its row."""
        fields = {
            "v": VERSION,
            "id": self.id,
            "handler": self.handler,
            "question": self.question,
            "since_us": self.since_us,
            "until_us": self.until_us,
            "begun_ms": self.begun_ms,
            "keys": [*self.keys],
            "where": self.where,
            "taken": self.taken,
            "version": self.reached.version.text,
            "shard": self.reached.shard,
            "total": self.total,
            "done": self.done,
            "called": self.called,
            "saved_ms": self.saved_ms,
            "stopped": self.stopped,
        }
        if self.border_ms is None:
            return fields
        told = None if self.told is None else [*self.told]
        return {**fields, "v": OF_WINDOWS, "border_ms": self.border_ms, "told": told}

    @property
    def asked(self) -> ReplayQuestion:
        """What it goes through."""
        return ReplayQuestion(
            self.handler, self.since_us, self.until_us, tuple(map(bytes.fromhex, self.keys)), self.where
        )

    def moved(self, reached: Reached, done: int, called: int, now_ms: int) -> Self:
        """The run after some changes."""
        return replace(
            self,
            reached=reached,
            done=self.done + done,
            called=self.called + called,
            saved_ms=now_ms,
            stopped="",
        )

    def told_through(self, told: tuple[int, str, int], count: int, now_ms: int) -> Self:
        """The run after some windows."""
        moved = self.moved(self.reached, count, count, now_ms)
        return replace(moved, told=told)

    def left_ms(self, done_before: int, took_ms: int) -> int | None:
        """About how long the rest takes, by what this process has done; None: nothing yet.

        >>> ReplayRun("r", "h", "q", 0, 1, 0, total=100, done=60).left_ms(10, 5_000)
        4000
        """
        done = self.done - done_before
        return None if done <= 0 else max(0, self.total - self.done) * took_ms // done


def new_run(run_id: str, question: ReplayQuestion, until_us: int, total: int, now_ms: int) -> ReplayRun:
    """The run of a question, before its first change."""
    return ReplayRun(
        run_id,
        question.handler,
        question.name,
        question.since_us,
        until_us,
        now_ms,
        tuple(key.hex() for key in question.keys),
        question.where,
        total=total,
    )


def run_key(app: str, handler: str, run_id: str) -> str:
    """The key of a run's row."""
    return REPLAY.key(app, handler, run_id)


def read_run(fields: Mapping[str, Any]) -> ReplayRun:
    """The run behind a row. Raises: StoreError."""
    row = readable(fields, "replay", OF_WINDOWS)
    told = row.get("told")
    return ReplayRun(
        row["id"],
        row["handler"],
        row["question"],
        row["since_us"],
        row["until_us"],
        row["begun_ms"],
        tuple(row["keys"]),
        row["where"],
        row["taken"],
        Reached(Version.from_text(row["version"]), row["shard"]),
        row["total"],
        row["done"],
        row["called"],
        row["saved_ms"],
        row["stopped"],
        row.get("border_ms"),
        None if told is None else (told[0], told[1], told[2]),
    )


def begun(app: str, run: ReplayRun) -> Write:
    """The row of a new run."""
    return Write(run_key(app, run.handler, run.id), run.fields(), Absent())


def taken_up(app: str, run: ReplayRun) -> tuple[ReplayRun, Write]:
    """The run as this process has it, and what takes it from whichever had it."""
    mine = replace(run, taken=run.taken + 1)
    return mine, Write(run_key(app, run.handler, run.id), mine.fields(), Equals("taken", run.taken))


def saved(app: str, run: ReplayRun) -> Write:
    """How far it is. The write is refused when another process has taken it up."""
    return Write(run_key(app, run.handler, run.id), run.fields(), Equals("taken", run.taken))


def finished(app: str, run: ReplayRun) -> Write:
    """It is done: its row goes."""
    return Write(run_key(app, run.handler, run.id), None, Equals("taken", run.taken))


def unfinished(runs: list[ReplayRun], question: ReplayQuestion) -> ReplayRun | None:
    """The newest unfinished run of a question."""
    same = [run for run in runs if run.question == question.name]
    return max(same, key=lambda run: (run.begun_ms, run.id), default=None)
