"""Nothing is lost over thirty hours, in any mixture of poison, outage, pause, restart, kill and repair.

Rules of this file: virtual time; a run is a list of steps; at its end everything is repaired and put back,
and then every change was handled, in the order of its item, or is a dead letter that the user can see. A gap
is allowed where the run had no worker, and must be named.
"""

from typing import Any, Literal, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import Unavailable
from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.on_failure import Discard, Park, ParkShard
from tailrace.app.retry import Retry
from tailrace.testing.world import World

Mood: TypeAlias = Literal["well", "away", "broken"]
Step: TypeAlias = tuple[str, Any]
EVENTS = st.one_of(
    st.tuples(st.just("poison"), st.sets(st.integers(0, 11), min_size=1, max_size=4)),
    st.tuples(st.just("mood"), st.sampled_from(("away", "broken", "away", "broken", "well"))),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.sampled_from(("restart", "redrive", "switch")), st.none()),
)
WRITES = st.tuples(st.just("write"), st.lists(st.integers(0, 11), min_size=1, max_size=12))
HOURS = st.tuples(st.just("hours"), st.sampled_from((1, 3, 7, 20, 23)))
DAYS = st.lists(st.tuples(WRITES, EVENTS, WRITES, HOURS), min_size=2, max_size=7)
"""Each day something is written, something befalls the handler, more is written, and hours pass."""
POLICIES = st.sampled_from((Park.key, Park(max_keys=2), Park(max_per_key=2), Park.shard, Discard()))


class Played:
    """One run, and what it was seen to do."""

    def __init__(self, policy: Park | ParkShard | Discard) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.mood: Mood = "well"
        self.poison: set[int] = set()
        self.handled: list[tuple[int, int]] = []
        self.written: list[tuple[int, int]] = []

        @self.app.on(self.orders, id="note", on_failure=policy, retry=Retry(1, backoff="20m..20m"))
        def note(change: Change) -> None:
            key, number = int(str(change.keys["id"])), int(change.new["n"])  # type: ignore[index]
            if self.mood == "away":
                raise Unavailable
            if self.mood == "broken" or key in self.poison:
                raise ValueError("no")
            self.handled.append((key, number))

    def step(self, world: World, step: Step) -> None:
        """Do one thing."""
        match step:
            case ("write", keys):
                for key in keys:
                    self.written.append((key, len(self.written)))
                    world.put("orders", {"id": str(key), "n": len(self.written) - 1})
            case ("poison", keys):
                self.poison = set(keys)
            case ("mood", mood):
                self.mood = mood
            case ("hours", hours):
                world.advance(f"{hours}h")
            case ("pause", paused):
                world._ask("pause" if paused else "resume", {"handler": "note"})
            case ("restart", _):
                world.restart()
            case ("redrive", _):
                world.dlq("note").redrive()
            case ("switch", _):
                world.engine.update_stream("orders", False)
                world.engine.committer.flush()
                world.engine.update_stream("orders", True, "NEW_AND_OLD_IMAGES")
                world.engine.committer.flush()


def repaired(world: World, played: Played) -> None:
    """Everything works again, and whatever was put aside is put back."""
    played.mood, played.poison = "well", set()
    world._ask("resume", {"handler": "note"})
    for _ in range(200):
        world.advance("1h")
        world.dlq("note").redrive(even_if_overtaken=True)
        if not world._open_positions() and not len(world.dlq("note")):
            return
    raise AssertionError(f"it never came to an end: {world._unsettled('200h')}")


@settings(max_examples=15)
@given(DAYS, POLICIES)
def test_every_change_is_handled_at_last_whatever_happened_over_days(
    days: list[tuple[Step, ...]], policy: Park | ParkShard | Discard
) -> None:
    played = Played(policy)
    with World(played.app, seed=7, allow_failures=True) as world:
        for day in days:
            for step in day:
                played.step(world, step)
        repaired(world, played)
        assert not world.gaps(), "a worker ran all the time"
        assert set(played.handled) == set(played.written)
        if not isinstance(
            policy, Discard
        ):  # there a later change may be handled before an earlier one is put back
            for key in {key for key, _ in played.written}:
                numbers = [number for item_key, number in dict.fromkeys(played.handled) if item_key == key]
                assert numbers == sorted(numbers)
