"""The row of an alert: what begins it, what ends it, and who tells it.

Theory of operation: of several workers each sees its own shards, so an alert holds as long as any of them
sees it: whoever does moves `seen`, and it ends when that has stood still for `end_ms` of an observer's own
clock. Each change of the row is a compare-and-set of its `revision`, so of several workers that see the same
one writes it, with the notice that is to be told; that one tells it. A notice stays in the row until each
sink has taken it; a worker that has a notice to tell moves `beat`, and when that stands still for
`CLAIM_MS` another one tells it. So a notice may be told twice, with one id, and is never lost.
Rules of this file: pure transitions over one row; wall time is written for people and for what is told again,
never compared between two machines to decide who lives. Called by alerts/run/watch.py. Layout:
docs/formats/state.md.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, convert, field, to_builtins
from msgspec.structs import replace

from tailrace.alerts.core.signs import AlertBounds, AlertKind
from tailrace.leases.lease import Sighting, sighted
from tailrace.rows.kinds import ALERT
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable
from tailrace.streams.moment import Now

CLAIM_MS: Final = 120_000
"""So long a worker that has a notice to tell may stand still: twice what one try of a sink may take."""
MOST_NOTICES: Final = 20
"""Of one alert while no sink can be reached. What is told at an interval is left out first, then what is
oldest: the log has all of them.
"""

NoticeWord: TypeAlias = Literal["began", "goes on", "ended"]


class AlertNotice(Struct, frozen=True):
    """What is to be told. Shape: `left` are the numbers of the sinks that have not taken it. Units: at_ms,
    began_ms since the epoch.
    """

    word: NoticeWord
    at_ms: int
    began_ms: int
    detail: str
    left: tuple[int, ...]


class AlertRow(Struct, frozen=True):
    """An alert of one handler.

    Shape:   `began_ms` is 0 while it does not hold; `grew_ms` when a dead letter last came, `level` how many
             are known; `claim` the worker that tells.
    Units:   began_ms, told_ms, grew_ms since the epoch.
    """

    kind: AlertKind
    handler: str
    table: str
    revision: int = 0
    seen: int = 0
    beat: int = 0
    began_ms: int = 0
    told_ms: int = 0
    grew_ms: int = 0
    level: int = 0
    detail: str = ""
    claim: str = ""
    notices: tuple[AlertNotice, ...] = field(default=())

    @property
    def is_on(self) -> bool:
        """Whether it holds."""
        return self.began_ms > 0

    @property
    def is_needed(self) -> bool:
        """Whether the row says anything: it holds, is to be told, or remembers a level."""
        return self.is_on or bool(self.notices) or self.level > 0


class Observer(Struct, frozen=True):
    """Who looks, and what it knows of a row from before. Shape: `seen`, `beat` since when these stand still
    by its own clock; None: it never saw them. Units: end_ms as in the theory above.
    """

    name: str
    sinks: int
    end_ms: int
    seen: Sighting | None = None
    beat: Sighting | None = None

    def look(self, row: AlertRow, monotonic_ms: int) -> "Observer":
        """What it knows now."""
        return replace(
            self,
            seen=sighted(self.seen, row.seen, monotonic_ms),
            beat=sighted(self.beat, f"{row.claim}/{row.beat}", monotonic_ms),
        )

    def may_tell(self, row: AlertRow, monotonic_ms: int) -> bool:
        """Whether it is the one that tells what the row has to be told."""
        is_stale = self.beat is not None and self.beat.has_expired(monotonic_ms, CLAIM_MS)
        return bool(row.notices) and (row.claim in ("", self.name) or is_stale)


def alert_key(app: str, handler: str, kind: AlertKind) -> str:
    """The row of one kind of alert; there only while it is needed."""
    return ALERT.key(app, handler, kind)


def read_alert(fields: Mapping[str, Any]) -> AlertRow:
    """An alert as its row says it. Raises: StoreError for a row of an unknown format."""
    row = readable(fields, "alert", ALERT.format)
    return convert({name: value for name, value in row.items() if name != "v"}, AlertRow)


def alert_fields(row: AlertRow) -> dict[str, Any]:
    """What is stored of it, as JSON knows it, with its format."""
    notices = [{**to_builtins(notice), "left": list(notice.left)} for notice in row.notices]
    return {"v": VERSION, **to_builtins(row), "notices": notices}


def alert_write(app: str, before: AlertRow | None, after: AlertRow) -> Write:
    """The write of a row that is as it was read; one that says nothing any more is removed."""
    condition = Absent() if before is None else Equals("revision", before.revision)
    fields = None if before is not None and not after.is_needed else alert_fields(after)
    return Write(alert_key(app, after.handler, after.kind), fields, condition)


def advanced(
    row: AlertRow, detail: str | None, bounds: AlertBounds, observer: Observer, now: Now
) -> AlertRow:
    """The row after one look. Shape: `detail` is what is the matter, None: it does not hold here. Returns:
    the same where nothing is to be written.
    """
    if detail is not None and not row.is_on:
        begun = replace(row, began_ms=now.wall_ms, told_ms=now.wall_ms, detail=detail, seen=row.seen + 1)
        return _with_notice(begun, "began", observer, now)
    if detail is not None:
        if now.wall_ms - row.told_ms >= bounds.again_ms:
            lasting = replace(row, told_ms=now.wall_ms, detail=detail, seen=row.seen + 1)
            return _with_notice(lasting, "goes on", observer, now)
        if observer.seen is None or observer.seen.has_expired(now.monotonic_ms, observer.end_ms // 3):
            return _next(replace(row, detail=detail, seen=row.seen + 1))
        return row
    is_over = observer.seen is not None and observer.seen.has_expired(now.monotonic_ms, observer.end_ms)
    if row.is_on and is_over:
        return replace(_with_notice(row, "ended", observer, now), began_ms=0)
    return row


def grown(row: AlertRow, dead_letters: int, bounds: AlertBounds, now: Now) -> tuple[AlertRow, bool]:
    """Take over how many dead letters there are. Returns: the row, and whether they still grow."""
    if dead_letters > row.level:
        return replace(row, level=dead_letters, grew_ms=now.wall_ms), True
    if dead_letters < row.level:
        row = replace(row, level=dead_letters)
    return row, row.is_on and now.wall_ms - row.grew_ms < bounds.quiet_ms


def told_to(row: AlertRow, notice: AlertNotice, sink: int) -> AlertRow:
    """A sink has taken a notice."""
    left = [
        replace(known, left=tuple(number for number in known.left if number != sink))
        if _same(known, notice)
        else known
        for known in row.notices
    ]
    return _next(replace(row, notices=tuple(known for known in left if known.left)))


def claimed(row: AlertRow, name: str) -> AlertRow:
    """A worker tells what is to be told, and lives."""
    return _next(replace(row, claim=name, beat=row.beat + 1))


def without_sinks(row: AlertRow, sinks: int) -> AlertRow:
    """What was to be told to sinks that are declared no longer is told to none."""
    left = [
        replace(notice, left=tuple(number for number in notice.left if number < sinks))
        for notice in row.notices
    ]
    kept = tuple(notice for notice in left if notice.left)
    return row if kept == row.notices else _next(replace(row, notices=kept))


def stepped(before: AlertRow, after: AlertRow) -> AlertRow:
    """The row with the next revision if anything else of it has changed."""
    return after if after == before or after.revision != before.revision else _next(after)


def _same(known: AlertNotice, notice: AlertNotice) -> bool:
    return (known.word, known.at_ms) == (notice.word, notice.at_ms)


def _next(row: AlertRow) -> AlertRow:
    return replace(row, revision=row.revision + 1)


def _with_notice(row: AlertRow, word: NoticeWord, observer: Observer, now: Now) -> AlertRow:
    notices = [known for known in row.notices if known.word != "goes on"]
    if observer.sinks:
        sinks = tuple(range(observer.sinks))
        notices.append(AlertNotice(word, now.wall_ms, row.began_ms, row.detail, sinks))
    kept = tuple(notices[-MOST_NOTICES:])
    return replace(_next(row), notices=kept, claim=observer.name, beat=row.beat + 1)
