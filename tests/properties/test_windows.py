"""Whatever the interleaving, the repetitions and the deaths: the last word on every window is
what the changes say.

Rules of this file: the oracle is a few lines of plain Python over the final history; events are often at the
bounds of windows. Worlds are small, because there are many.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tailrace import App, Item, Window
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch, Written
from tailrace.streams.envelopes import event_id
from tailrace.testing import World
from tailrace.windows.core.rows import Contribution, WindowInvocation
from tailrace.windows.core.shapes import Span
from tailrace.windows.run.windowing import Closing, Windows

SECONDS = st.one_of(st.sampled_from([0, 9, 10, 11, 19, 20, 29, 30]), st.integers(0, 60))
CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["put", "put", "put", "delete"]),
        st.sampled_from("xy"),
        SECONDS,
    ),
    max_size=14,
)
SHAPES: dict[str, dict[str, str]] = {
    "tumbling": {"every": "10s"},
    "sliding": {"every": "10s", "length": "30s"},
    "session": {"gap": "10s"},
}


def expected(shape: str, items: dict[str, tuple[str, int]]) -> dict[tuple[str, int, int], list[str]]:
    """(group, start, end) → the items in it, in seconds."""
    windows: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for group in "xy":
        events = sorted((second, key) for key, (of, second) in items.items() if of == group)
        if shape == "session":
            session: list[tuple[int, str]] = []
            for at in [*events, (10**6, "")]:
                if session and at[0] - session[-1][0] >= 10:
                    windows[group, session[0][0], session[-1][0] + 10] = [key for _, key in session]
                    session = []
                session.append(at)
            continue
        length = 10 if shape == "tumbling" else 30
        for second, key in events:
            for start in range(second - second % 10 - length + 10, second + 1, 10):
                windows[group, start, start + length].append(key)
    return {window: sorted(keys) for window, keys in windows.items()}


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    changes=CHANGES,
    seed=st.integers(0, 1_000),
    pauses=st.lists(st.integers(0, 25), max_size=14),
    lateness=st.sampled_from(["0s", "5s", "2m"]),
    batch=st.sampled_from([1, 3, 100]),
    shards=st.sampled_from([1, 3]),
)
def test_the_last_word_on_every_window_depends_on_the_changes_alone(
    shape: str,
    changes: list[tuple[str, str, str, int]],
    seed: int,
    pauses: list[int],
    lateness: str,
    batch: int,
    shards: int,
) -> None:
    app = App("windows")
    events = app.table("events", pk="id")

    class Event(Item, table=events):
        id: str
        group: str
        at: datetime

    told: dict[tuple[str, int], tuple[int, list[str]]] = {}
    """A window is known by its key and its start: a session that grows is corrected under the same."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    revisions: list[int] = []

    @app.window(Event, **SHAPES[shape], by=Event.group, at=Event.at, lateness=lateness, batch_size=batch)
    def tell(window: Window[Event]) -> None:
        start, end = ((edge - begun).total_seconds() for edge in (window.start, window.end))
        assert [member.at for member in window] == sorted(member.at for member in window)
        told[window.key, int(start)] = (int(end), sorted(member.id for member in window))
        revisions.append(window.revision)

    items: dict[str, tuple[str, int]] = {}
    with World(app, seed=seed, shards=shards) as world:
        with world.faults(duplicates=0.3, crash="anywhere", seed=seed):
            for index, (key, kind, group, second) in enumerate(changes):
                if kind == "put":
                    world.put(Event(id=key, group=group, at=begun + timedelta(seconds=second)))
                    items[key] = (group, second)
                elif items.pop(key, None):
                    world.delete(Event, id=key)
                if index < len(pauses) and pauses[index]:
                    world.advance(pauses[index] * 1_000)
            world.advance("5m")
            world.settle()
        assert world.lag() == 0
    event(f"{shape}, corrected: {max(revisions, default=0) > 1}")
    last = {(group, start, end): keys for (group, start), (end, keys) in told.items() if keys}
    assert last == expected(shape, items)


class Rows:
    """A sink as tables are: an event id counts once, the row of a key is that with the highest number. Often
    its answer is lost.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.seen: dict[str, object] = {}
        self.contradicted: list[tuple[object, object]] = []
        self.rows: dict[bytes, tuple[int, object]] = {}

    async def write(self, batch: RecordBatch) -> Outcome:
        for record, value in zip(batch.records, batch.values or (), strict=True):
            first = self.seen.setdefault(event_id(record), value)
            if first != value:
                self.contradicted.append((first, value))
            if record.sequence > self.rows.get(record.keys, (0, None))[0]:
                self.rows[record.keys] = record.sequence, first
        is_lost = self._random.random() < 0.3
        return Failed(whole=Failure(FailureKind.UNAVAILABLE, "no answer")) if is_lost else Written()

    @property
    def last(self) -> list[object]:
        """What the rows say that say something."""
        return sorted((value for _, value in self.rows.values() if value), key=str)


def told_in_a_storm(seed: int) -> tuple[Rows, list[object]]:
    """Readings of two minutes that come, are corrected, moved and taken back when the minutes are over; and
    what the rows should be.
    """
    app = App("windows")
    readings = app.table("readings", pk="id")

    class Reading(Item, table=readings):
        id: str
        at: datetime

    begun = datetime(2026, 1, 1, tzinfo=UTC)

    @app.window(Reading, every="1m", at=Reading.at)
    def minute(window: Window[Reading]) -> list[str]:
        return sorted(f"{member.id} {(member.at - begun).total_seconds():.0f}" for member in window)

    random = Random(seed)
    rows = Rows(random)
    app.sink(minute, rows)
    items: dict[str, int] = {}
    with World(app, seed=seed) as world:
        world.advance("3m")
        with world.faults(duplicates=0.4, crash="anywhere", reshard="1h", throttle=0.05, seed=seed):
            for _ in range(30):
                name, second = random.choice("ab"), random.choice([0, 59, 60])
                if items.pop(name, None) is not None and random.random() < 0.5:
                    world.delete(Reading, id=name)
                else:
                    world.put(Reading(id=name, at=begun + timedelta(seconds=second)))
                    items[name] = second
                world.advance(random.choice([0, 1, 200, 1_000]))
            world.advance("5m")
            world.settle()
    minutes = [[f"{name} {at}" for name, at in items.items() if at // 60 == minute] for minute in range(2)]
    right = [sorted(minute) for minute in minutes if minute]
    return rows, sorted(right, key=str)


STORMS: Final = range(12)


@pytest.mark.parametrize("seed", STORMS)
def test_a_revision_has_one_content_and_the_last_word_is_told(seed: int) -> None:
    rows, right = told_in_a_storm(seed)
    assert rows.contradicted == []
    assert rows.last == right


def what_is_about_to_be_told_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    async def wrong(
        self: Windows, group: str, span: Span, members: Sequence[Contribution], was: WindowInvocation
    ) -> Closing:
        return Closing(group, span, members, was.revision + 1, was.value)

    patch.setattr(Windows, "_begin", wrong)


def what_was_told_before_is_not_told_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WindowInvocation, "is_last_word", lambda self, digest: self.digest == digest)


@pytest.mark.parametrize(
    "plant", [what_is_about_to_be_told_is_not_noted, what_was_told_before_is_not_told_again]
)
def test_a_storm_notices_when(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    for seed in range(200):  # the first few do, unless the order of things has changed
        rows, right = told_in_a_storm(seed)
        if rows.contradicted or rows.last != right:
            return
    pytest.fail("no storm noticed it")


def test_the_oracle_knows_the_bounds() -> None:
    items: dict[str, Any] = {"a": ("x", 9), "b": ("x", 10), "c": ("x", 20)}
    assert expected("tumbling", items) == {("x", 0, 10): ["a"], ("x", 10, 20): ["b"], ("x", 20, 30): ["c"]}
    assert expected("session", items) == {("x", 9, 20): ["a", "b"], ("x", 20, 30): ["c"]}
    assert expected("sliding", items)["x", 0, 30] == ["a", "b", "c"]
