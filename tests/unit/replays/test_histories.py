"""Which few changes of an item decide what it was: held against the law over all of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.past import Coverage, in_order, state_at, with_ties
from tailrace.journal.core.records import SCAN
from tailrace.replays.core.histories import Histories, ItemHistory
from tailrace.streams.version import Version

TIMES = st.integers(0, 6)


def change(
    sequence: int, created_us: int, old: bytes | None, new: bytes | None, **more: Any
) -> JournalChange:
    return JournalChange("s", b"k", Version(1, sequence), created_us, "MODIFY", old, new, **more)


@st.composite
def histories(draw: st.DrawFn) -> list[JournalChange]:
    changes: list[JournalChange] = []
    state: bytes | None = draw(st.sampled_from([None, b'{"n":{"N":"9"}}']))
    for sequence in range(1, draw(st.integers(0, 6)) + 1):
        new = draw(st.sampled_from([None, b'{"n":{"N":"1"}}', b'{"n":{"N":"2"}}']))
        old = draw(st.sampled_from([state, b"{}"]))  # some do not begin where the one before them ended
        origin = draw(st.sampled_from([None, None, SCAN]))
        changes.append(change(sequence, draw(TIMES), old, new, origin=origin))
        state = new
    return in_order(changes)


@given(histories(), TIMES, st.one_of(st.none(), st.integers(0, 7)))
def test_few_changes_say_what_all_of_them_do(
    changes: list[JournalChange], at_us: int, upto: int | None
) -> None:
    coverage = Coverage(0, 0)
    version = None if upto is None else Version(9, upto)
    few = ItemHistory(changes).around(at_us, version)
    if version is None:
        said, whole = state_at(few, at_us, coverage), state_at(changes, at_us, coverage)
    else:
        said = state_at(with_ties(few, at_us, version), at_us, coverage)
        whole = state_at(with_ties(changes, at_us, version), at_us, coverage)
    assert len(few) <= 3
    assert (said.item, said.unknown) == (whole.item, whole.unknown)


def test_the_most_recently_asked_are_kept() -> None:
    kept = Histories(most=7)
    for name in (b"a", b"b", b"c"):
        kept.keep("t", name, [change(1, 0, None, None)])
    assert kept.find("t", b"a") is not None
    kept.keep("t", b"d", [change(1, 0, None, None)])
    assert kept.find("t", b"b") is None
    assert kept.find("t", b"a") is not None
    large = kept.keep("t", b"large", [change(number, 0, None, None) for number in range(20)])
    assert kept.find("t", b"large") is large
    assert kept.find("t", b"a") is None
