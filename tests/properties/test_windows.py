"""Whatever the interleaving, the repetitions and the deaths: the last word on every window is what the changes say.

Rules of this file: the oracle is a few lines of plain Python over the final history; events are often at the bounds of windows. Worlds are small,
because there are many.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tailrace import App, Item, Window
from tailrace.testing import World

SECONDS = st.one_of(st.sampled_from([0, 9, 10, 11, 19, 20, 29, 30]), st.integers(0, 60))
CHANGES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "put", "put", "delete"]), st.sampled_from("xy"), SECONDS),
    max_size=14,
)  # fmt: skip
SHAPES: dict[str, dict[str, str]] = {
    "tumbling": {"every": "10s"},
    "sliding": {"every": "10s", "length": "30s"},
    "session": {"gap": "10s"},
}


def expected(shape: str, items: dict[str, tuple[str, int]]) -> dict[tuple[str, int, int], list[str]]:
    """(group, start, end) → the items in it, in seconds."""
    found: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for group in "xy":
        events = sorted((second, key) for key, (of, second) in items.items() if of == group)
        if shape == "session":
            session: list[tuple[int, str]] = []
            for at in [*events, (10**6, "")]:
                if session and at[0] - session[-1][0] >= 10:
                    found[group, session[0][0], session[-1][0] + 10] = [key for _, key in session]
                    session = []
                session.append(at)
            continue
        length = 10 if shape == "tumbling" else 30
        for second, key in events:
            for start in range(second - second % 10 - length + 10, second + 1, 10):
                found[group, start, start + length].append(key)
    return {window: sorted(keys) for window, keys in found.items()}


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)), changes=CHANGES, seed=st.integers(0, 1_000), pauses=st.lists(st.integers(0, 25), max_size=14),
    lateness=st.sampled_from(["0s", "5s", "2m"]), batch=st.sampled_from([1, 3, 100]), shards=st.sampled_from([1, 3]),
)  # fmt: skip
def test_the_last_word_on_every_window_depends_on_the_changes_alone(
    shape: str, changes: list[tuple[str, str, str, int]], seed: int, pauses: list[int], lateness: str, batch: int, shards: int
) -> None:  # fmt: skip
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
        start, end = ((each - begun).total_seconds() for each in (window.start, window.end))
        assert [each.at for each in window] == sorted(each.at for each in window)
        told[window.key, int(start)] = (int(end), sorted(each.id for each in window))
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


def test_the_oracle_knows_the_bounds() -> None:
    items: dict[str, Any] = {"a": ("x", 9), "b": ("x", 10), "c": ("x", 20)}
    assert expected("tumbling", items) == {("x", 0, 10): ["a"], ("x", 10, 20): ["b"], ("x", 20, 30): ["c"]}
    assert expected("session", items) == {("x", 9, 20): ["a", "b"], ("x", 20, 30): ["c"]}
    assert expected("sliding", items)["x", 0, 30] == ["a", "b", "c"]
