"""What a journal says of the past of one item: its state at a time, its history; and what it does not say.

Theory of operation: the state at a time is the new image of the last change, in the order of versions, that
was created by then. A change tells what was there before it, too: so a time before an item's first change is
known where the journal covers it. What happened while nothing was recorded (before the journal, in a named
gap, while a stream was off) is unknown until the next change of the item, whose old image is what the gap has
left. Two changes of which the second does not begin where the first ended have something between them that
is not there. Where times are known to within a second, changes that near are named beside the answer.
Rules of this file: pure; nothing is guessed: what is not known has a reason instead of a state. ADR 79, 85.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

import orjson
from msgspec import Struct
from msgspec.structs import replace

from tailrace.journal.core.attributes import AttributeDifference, differences
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.moment import spoken
from tailrace.journal.core.records import SCAN
from tailrace.streams.version import Version
from tailrace.values.types import Item

COARSE_US: Final = 1_000_000
"""Times this coarse, as AWS's, do not say what came before a moment; those of our engine do."""
Happened: TypeAlias = Literal["INSERT", "MODIFY", "REMOVE", "BASE"]
CHAIN: Final = (
    "it does not begin where the change before it ended: changes between them are not in the journal"
)


class LostTime(Struct, frozen=True):
    """A time of which changes are missing.

    Shape:   `shard` whose changes; "" is all shards. `until_us` None: nothing that came after it is there
             yet. `words` name the gap, for people.
    """

    shard: str
    since_us: int
    until_us: int | None
    words: str

    def overlaps(self, since_us: int, until_us: int) -> bool:
        """Whether some of it lies between two moments, both included."""
        return self.since_us <= until_us and (self.until_us is None or self.until_us > since_us)


class Coverage(Struct, frozen=True):
    """Which part of the past a journal knows. Units: microseconds since the epoch.

    Shape:   `begin_us` from when on every change is there, but for those of `lost`; None: none is. `base_us`
             is when the whole table was read; None: never, and keys that have no change are unknown. `end_us`
             is the newest change's time; `is_live`: nothing later was written, for the stream was read too;
             `unread` why it was not, where that was tried; `deleted` what is to be said of the time behind
             `end_us` where the table is gone.
    """

    begin_us: int | None
    base_us: int | None = None
    lost: tuple[LostTime, ...] = ()
    precision_us: int = 0
    end_us: int | None = None
    is_live: bool = False
    inexact_us: int | None = None
    unread: str = ""
    deleted: str = ""

    @property
    def complete_us(self) -> int | None:
        """From when on the whole table is known; None: never."""
        return None if self.base_us is None else self.first_us

    @property
    def first_us(self) -> int:
        """Before this nothing is known of any item; 0: nothing is known at all."""
        return min((us for us in (self.begin_us, self.base_us) if us is not None), default=0)

    def unknown_at(self, at_us: int) -> str:
        """Why the whole table is not known at a time; "": it is."""
        complete_us = self.complete_us
        if complete_us is None:
            return "which items were never changed is not known, because this journal has no base yet"
        if at_us < complete_us:
            return before(complete_us)
        # While the base is read, what is told of an item may come after the moment, and after a gap.
        until_us = max(at_us + 1, self.told_us or 0)
        return next((gap.words for gap in self.lost if gap.since_us < until_us), "")

    @property
    def told_us(self) -> int | None:
        """From when on each item that is there has a change or a row of the base; None: never."""
        return self.base_us if self.inexact_us is None else self.inexact_us

    def later(self, at_us: int) -> str:
        """What the answer for that time does not know, and could have been so or may come to be known; ""."""
        if self.end_us is not None and at_us <= self.end_us:
            return ""
        if self.deleted or self.is_live:
            return self.deleted
        ends = "it has none yet" if self.end_us is None else f"its last one is of {spoken(self.end_us)}"
        words = f"changes that the journal does not have yet are not in the answer: {ends}"
        return f"{words}. {unread_words(self.unread)}" if self.unread else words


class PastState(Struct, frozen=True):
    """What is known of one item at a moment.

    Shape:   `item` the image, None: there was none; only where `unknown` is "", else that is why. `version`
             and `since_us` of the change that made it so; None: it was so when the journal began. `near` are
             changes of which it is not sure on which side of the moment they were.
    """

    item: bytes | None = None
    unknown: str = ""
    version: Version | None = None
    since_us: int | None = None
    near: tuple[Version, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether `item` says what was there."""
        return not self.unknown


class HistoryEntry(Struct, frozen=True):
    """One change of an item. Shape: `happened` BASE: what was there when the table was read; `differences` by
    path; `lost` is what is missing before it, "".
    """

    change: JournalChange
    happened: Happened
    differences: tuple[AttributeDifference, ...]
    lost: str = ""


def unread_words(why: str) -> str:
    """What is said where the live stream was not read."""
    return f"The live stream was not read: {why}"


def deleted(coverage: Coverage, again_us: int | None) -> Coverage:
    """What a journal knows whose table was deleted: no stream says when, and none what went with it. So the
    answer for a time behind its last change says that it may have been gone by then, until the next table of
    its name was made: `again_us`, None: there is none. Units: microseconds.
    """
    since_us = coverage.first_us if coverage.end_us is None else coverage.end_us
    words = f"the table was deleted at a time after {spoken(since_us)} that no stream tells"
    if again_us is None:
        return replace(coverage, deleted=f"{words}: it may have been gone by then")
    words = f"{words}, and made anew by {spoken(again_us)}"
    lost = LostTime("", again_us, None, words)
    return replace(coverage, lost=(*coverage.lost, lost), deleted=f"{words}: it may have been gone by then")


def before(since_us: int) -> str:
    """Why something is unknown that lies before what is known."""
    return f"not known before {spoken(since_us)}"


def state_at(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> PastState:
    """What is known of an item at a moment. Shape: `changes` are all that the journal has of it, those of the
    base among them, `in_order`.
    """
    place = max((i for i, change in enumerate(changes) if change.created_us <= at_us), default=-1)
    last = changes[place] if place >= 0 else None
    following = changes[place + 1] if place + 1 < len(changes) else None
    near = _near(changes, at_us, coverage)
    if last is None and (reason := _reason_before(following, at_us, coverage)):
        return PastState(unknown=reason, near=near)
    since_us = coverage.first_us if last is None else last.created_us
    relevant = _relevant(coverage, last, following)
    cuts = [gap for gap in relevant if gap.overlaps(since_us, at_us)]
    for gap in cuts:
        if gap.until_us is None or at_us < gap.until_us:
            return PastState(unknown=gap.words, near=near)
    if following is None:
        if cuts:
            return PastState(unknown=f"{cuts[0].words}, and no later change says what it left", near=near)
        return PastState(near=near) if last is None else _left_by(changes[: place + 1], near)
    hidden = next((gap for gap in relevant if at_us < gap.since_us <= following.created_us), None)
    if last is None or cuts:
        # What the next change has found was there already, unless a gap lies between.
        if hidden is None:
            return PastState(_before(following), near=near)
        told_us = coverage.told_us
        if last is None and told_us is not None and hidden.since_us >= told_us:
            return PastState(near=near)  # the base does not have it
        return PastState(unknown=hidden.words, near=near)
    if same_image(last.new, _before(following)) or hidden is not None:
        return _left_by(changes[: place + 1], near)
    return PastState(unknown=f"the change of {spoken(following.created_us)}: {CHAIN}", near=near)


def _left_by(changes: Sequence[JournalChange], near: tuple[Version, ...]) -> PastState:
    """What the last of some changes has left; a row of the base says that it was so, not since when."""
    made = changes[-1]
    for one in reversed(changes[:-1]):
        if made.origin != SCAN or not same_image(one.new, made.new):
            break
        made = one
    if made.origin == SCAN:
        return PastState(made.new, near=near)
    return PastState(made.new, "", made.version, made.created_us, near)


def in_order(changes: Iterable[JournalChange], inexact_us: int | None = None) -> list[JournalChange]:
    """Changes of one item by version; a row of the base is as of its version, so it comes after the change
    that has the same. With `inexact_us`, that of `Coverage`, rows of the base are left out where a change by
    then tells more: what it has found, and what it left.
    """
    ordered = sorted(changes, key=lambda change: (change.version, change.origin == SCAN))
    if inexact_us is None:
        return ordered
    is_told = any(change.origin != SCAN and change.created_us <= inexact_us for change in ordered)
    return [change for change in ordered if not (is_told and change.origin == SCAN)]


def with_ties(changes: Sequence[JournalChange], at_us: int, upto: Version) -> list[JournalChange]:
    """Changes of a moment that came after another change of it, as a microsecond later: numbers of one engine
    rise over all of its tables.
    """
    return [
        replace(change, created_us=at_us + 1)
        if change.created_us == at_us and change.version.sequence > upto.sequence
        else change
        for change in changes
    ]


def history_of(changes: Sequence[JournalChange], coverage: Coverage) -> list[HistoryEntry]:
    """Each change of an item, with what differed. Shape: as of `state_at`; a row of the base that repeats
    what was known is left out.
    """
    entries: list[HistoryEntry] = []
    state: bytes | None = None
    is_first = True
    for change in changes:
        lost = "" if is_first or same_image(state, _before(change)) else CHAIN
        if change.origin == SCAN:
            if not is_first and not lost:
                continue
            entries.append(HistoryEntry(change, "BASE", differences(image(state), image(change.new)), lost))
        else:
            if is_first and change.old is not None:
                lost = "changes before the journal's beginning"
            told = differences(image(change.old), image(change.new))
            entries.append(HistoryEntry(change, _happened(change), told, lost))
        state, is_first = change.new, False
    return entries


def image(data: bytes | None) -> Item | None:
    """An image as DynamoDB JSON."""
    return None if data is None else orjson.loads(data)


def same_image(one: bytes | None, other: bytes | None) -> bool:
    """Whether two images are of the same item, in whatever order their attributes stand.

    >>> same_image(b'{"a":{"S":"1"},"b":{"S":"2"}}', b'{"b":{"S":"2"},"a":{"S":"1"}}')
    True
    """
    return one == other or (one is not None and other is not None and image(one) == image(other))


def _happened(change: JournalChange) -> Happened:
    match change.event:
        case "INSERT" | "REMOVE":
            return change.event
        case _:
            return "MODIFY"


def _before(change: JournalChange) -> bytes | None:
    """What was there before a change: what a scan has read was there before it, too."""
    return change.new if change.origin == SCAN else change.old


def _reason_before(following: JournalChange | None, at_us: int, coverage: Coverage) -> str:
    """Why a time is unknown by which an item has no change; "": it is known."""
    if coverage.begin_us is None and coverage.base_us is None:
        return "the journal has nothing yet"
    if at_us < coverage.first_us:
        return before(coverage.first_us)
    if following is None and coverage.complete_us is None:
        return "it has not changed since the journal began, and the journal has no base yet"
    return ""


def _relevant(
    coverage: Coverage, last: JournalChange | None, following: JournalChange | None
) -> list[LostTime]:
    """The gaps that may have changes of an item between two of it. Between two of one shard it was in that
    shard all the time, for the keys of a shard are its own from its beginning to its end.
    """
    if last is None or following is None or SCAN in (last.origin, following.origin):
        return list(coverage.lost)
    if last.shard != following.shard:
        return list(coverage.lost)
    return [gap for gap in coverage.lost if gap.shard in ("", last.shard)]


def _near(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> tuple[Version, ...]:
    if coverage.precision_us < COARSE_US:
        return ()
    return tuple(
        change.version
        for change in changes
        if abs(change.created_us - at_us) < coverage.precision_us and change.origin != SCAN
    )
