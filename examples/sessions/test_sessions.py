"""Days of sessions in milliseconds. `pytest examples/sessions`."""

from datetime import UTC, datetime, timedelta

from sessions import Session, app, expired, sessions, signed_out, taken_over, users

from tailrace.testing import World


def later(world: World, time: timedelta) -> datetime:
    """That long from the world's now."""
    return datetime.fromtimestamp(world.clock.now().wall_ms // 1_000, UTC) + time


def number(world: World, name: str, attribute: str) -> object:
    """A counter of a user."""
    return (world.get(users, {"name": name}) or {}).get(attribute, 0)


def test_a_forgotten_session_ends_and_reminds_once(world: World) -> None:
    world.use(app)
    hour = later(world, timedelta(hours=1))
    world.put(Session(id="s1", user="ann", expires_at=hour, basket=["tea"]))
    world.put(Session(id="s2", user="ann", expires_at=hour))
    world.settle()
    assert number(world, "ann", "sessions") == 2
    world.delete(Session, id="s2")
    world.advance("72h")
    world.settle()
    assert world.get(sessions, {"id": "s1"}) is None
    assert (world.delivered(expired), world.delivered(signed_out)) == (["s1"], ["s2"])
    assert number(world, "ann", "sessions") == 0
    assert number(world, "ann#reminders", "reminders") == 1


def test_a_session_that_is_used_goes_on(world: World) -> None:
    world.use(app)
    world.put(Session(id="s1", user="ann", expires_at=later(world, timedelta(hours=1))))
    for _ in range(5):
        world.advance("50m")
        world.update(Session, id="s1", expires_at=later(world, timedelta(hours=1)))
    world.settle()
    assert world.get(sessions, {"id": "s1"}) is not None
    assert world.delivered(expired) == []


def test_a_session_that_changes_hands_waits_for_a_person(world: World) -> None:
    world.use(app)
    world.put(Session(id="s1", user="ann"))
    world.update(Session, id="s1", user="eve")
    world.settle()
    (letter,) = world.dead_letters(taken_over)
    assert "went from ann to eve" in str(letter)


def test_sessions_are_counted_right_whatever_goes_wrong(world: World) -> None:
    world.use(app)
    hour = later(world, timedelta(hours=1))
    with world.faults(duplicates=0.4, crash="anywhere", reshard="4h", throttle=0.2, seed=7):
        for identity in range(6):
            world.put(Session(id=f"s{identity}", user="ann", expires_at=hour, basket=["tea"]))
        world.delete(Session, id="s0")
        world.advance("72h")
        world.settle()
    assert number(world, "ann", "sessions") == 0
    assert number(world, "ann#reminders", "reminders") == 5
    assert world.gaps() == []
