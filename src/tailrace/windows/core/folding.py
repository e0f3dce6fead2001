"""One change and what is known of its item → the rows to write.

Theory of operation: of each item one contribution counts, that of its last change. A newer change takes the
old contribution out of its window and puts the new one in; an older one, or the same again, changes
nothing. So what is in a window does not depend on how often changes come, nor on what else comes between
them. Both panes are noted as touched, with the change's version as the stamp: closing takes
such a note away only if it still has the stamp that was read.
Rules of this file: pure; conditions are guards of the rows. Called by windows/run/windowing.py.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct, field

from tailrace.rows.writes import VERSION, Absent, Equals, Write
from tailrace.windows.core.rows import (
    WITH_VERSION,
    Contribution,
    WindowOwner,
    contribution_fields,
    day_key,
    item_key,
    member_key,
    touched_key,
)
from tailrace.windows.core.shapes import Shape, pane_of


class FoldedChange(Struct):
    """What a change comes to. Shape: `touched` are (pane, group); no writes: it was applied before, or
    overtaken.
    """

    writes: list[Write] = field(default_factory=list)
    touched: list[tuple[int, str]] = field(default_factory=list)


class Moved(NamedTuple):
    """What a change does to what its item contributes.

    Shape:   whether the contribution of before leaves its windows: not those that are closed for good, which
             stay as they were told; whether the new one enters some, and whether these are open.
    """

    leaves_open: bool
    enters: bool
    enters_open: bool


def moved(shape: Shape, before: Contribution | None, after: Contribution, horizon_ms: int) -> Moved | None:
    """The same of one change; None: it was applied before, or overtaken. Units: what ended before
    `horizon_ms` is closed for good.
    """
    if before is not None and after.version <= before.version:
        return None
    leaves = (
        before is not None
        and before.image is not None
        and not is_closed_for_good(shape, before.at_ms, horizon_ms)
    )
    enters = after.image is not None
    return Moved(leaves, enters, enters and not is_closed_for_good(shape, after.at_ms, horizon_ms))


def fold(
    owner: WindowOwner,
    shape: Shape,
    before: Contribution | None,
    after: Contribution,
    horizon_ms: int,
    now_ms: int,
) -> FoldedChange:
    """Apply a change. Units: what ended before `horizon_ms` is closed for good, and not told again; `now_ms`
    says when the item may be forgotten.
    """
    folded = FoldedChange()
    move = moved(shape, before, after, horizon_ms)
    if move is None:
        return folded
    if before is not None and move.leaves_open:
        pane = pane_of(shape, before.at_ms)
        folded.writes.append(Write(member_key(owner, before.group, pane, before.key), None))
        _touch(folded, owner, shape, before, after.version.text)
        _note_day(folded, owner, shape, before)
    if move.enters:
        pane = pane_of(shape, after.at_ms)
        fields = contribution_fields(after)
        folded.writes.append(Write(member_key(owner, after.group, pane, after.key), fields))
        if move.enters_open:
            _touch(folded, owner, shape, after, after.version.text)
        _note_day(folded, owner, shape, after)
    else:  # a tombstone, to be forgotten with the day on which it came
        folded.writes.append(
            Write(day_key(owner, now_ms, "item", after.key), {"v": VERSION, "key": after.key})
        )
    guard = Absent() if before is None else _unchanged(before)
    slim = Contribution(
        after.key, after.version, after.group, after.at_ms, None if after.image is None else {}
    )
    folded.writes.append(Write(item_key(owner, after.key), contribution_fields(slim), guard))
    return folded


def _unchanged(before: Contribution) -> Equals:
    if before.is_of_before:
        return Equals("sequence", before.version.sequence)
    return Equals("version", before.version.text)


def as_they_are(members: Iterable[Contribution]) -> list[Contribution]:
    """What is in a window, by time: of each item what it contributed last. Shape: an item that has left a
    pane which is closed for good, for one that is open, is in the rows of both.
    """
    newest: dict[str, Contribution] = {}
    for member in members:
        there = newest.get(member.key)
        if there is None or there.version < member.version:
            newest[member.key] = member
    return sorted(newest.values(), key=lambda member: (member.at_ms, member.key))


def is_closed_for_good(shape: Shape, at_ms: int, horizon_ms: int) -> bool:
    """Whether the last window of an event ended before the horizon: nothing is known of it any more."""
    return pane_of(shape, at_ms) + shape.last_end_ms <= horizon_ms


def _touch(folded: FoldedChange, owner: WindowOwner, shape: Shape, row: Contribution, stamp: str) -> None:
    pane = pane_of(shape, row.at_ms)
    fields = {"v": WITH_VERSION, "pane": pane, "group": row.group, "stamp": stamp}
    folded.writes.append(Write(touched_key(owner, row.group, pane), fields))
    folded.touched.append((pane, row.group))


def _note_day(folded: FoldedChange, owner: WindowOwner, shape: Shape, row: Contribution) -> None:
    """Note what there is to forget of a pane, once its windows are closed for good."""
    pane = pane_of(shape, row.at_ms)
    fields = {"v": VERSION, "pane": pane, "group": row.group}
    folded.writes.append(Write(day_key(owner, row.at_ms, "pane", str(pane), row.group), fields))
