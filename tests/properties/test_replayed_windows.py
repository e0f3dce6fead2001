"""The windows of a replay are those that live delivery told last: whatever came, moved, went, or came late.

Rules of this file: two oracles. Live delivery in a world, which keeps rows and is told of watermarks, has the
last word on each window; where nothing came late, the few lines of Python that test_windows.py has.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tailrace import App, Item, Window
from tailrace.testing import World
from tests.properties.test_windows import CHANGES, SHAPES, expected

BEGUN: Final = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
Words = dict[tuple[str, int, int], list[str]]
"""What was told last: group, start and end in seconds → the items in it."""


def told_twice(
    shape: str,
    changes: list[tuple[str, str, str, int]],
    pauses: list[int],
    keep: str,
    lateness: str,
    *,
    seed: int = 1,
) -> tuple[Words, Words, Words]:
    """What live delivery told last, what a replay tells, and what the items at the end say."""
    app = App("windows")
    events = app.table("events", pk="id")
    app.archive(events, "history/")

    class Event(Item, table=events):
        id: str
        group: str
        at: datetime

    live: dict[tuple[str, int], tuple[int, list[str]]] = {}
    again: Words = {}

    @app.window(Event, **SHAPES[shape], by=Event.group, at=Event.at, lateness=lateness, keep=keep)
    def tell(window: Window[Event]) -> None:
        start, end = (int((edge - BEGUN).total_seconds()) for edge in (window.start, window.end))
        ids = sorted(member.id for member in window)
        if not window.is_replay:
            live[window.key, start] = end, ids
            return
        assert (window.key, start, end) not in again, "each window is told once"
        again[window.key, start, end] = ids

    items: dict[str, tuple[str, int]] = {}
    with World(app, seed=seed) as world:
        world.put(Event(id="first", group="z", at=BEGUN - timedelta(hours=1)))  # the journal begins
        world.advance("5m")
        for index, (key, kind, group, second) in enumerate(changes):
            if kind == "put":
                world.put(Event(id=key, group=group, at=BEGUN + timedelta(seconds=second)))
                items[key] = (group, second)
            elif items.pop(key, None):
                world.delete(Event, id=key)
            # each is delivered before the next: what is late depends on how far delivery is
            world.advance((pauses[index % len(pauses)] * 1_000 if pauses else 0) + 1_500)
        world.advance("10m")
        app.replay(tell, since="2025-01-01T00:00Z")
    words = {(group, start, end): ids for (group, start), (end, ids) in live.items() if ids and group != "z"}
    return words, again, expected(shape, items)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    changes=CHANGES,
    pauses=st.lists(st.integers(0, 25), max_size=14),
    keep=st.sampled_from(["0s", "7s", "40s"]),
    lateness=st.sampled_from(["0s", "5s"]),
)
def test_a_replay_tells_what_live_delivery_told_last(
    shape: str,
    changes: list[tuple[str, str, str, int]],
    pauses: list[int],
    keep: str,
    lateness: str,
) -> None:
    live, again, whole = told_twice(shape, changes, pauses, keep, lateness)
    event(f"{shape}, something late: {live != whole}")
    assert again == live


@settings(max_examples=20, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)), changes=CHANGES, pauses=st.lists(st.integers(0, 25), max_size=14)
)
def test_where_nothing_is_late_the_items_say_what_is_told(
    shape: str, changes: list[tuple[str, str, str, int]], pauses: list[int]
) -> None:
    _, again, whole = told_twice(shape, changes, pauses, "24h", "0s")
    assert again == whole
