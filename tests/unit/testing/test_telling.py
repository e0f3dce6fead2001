"""A schedule in ten lines: what was held stays, then what is nearest to it."""

from tailrace.testing.exploring_loop import WRITES, RanStep, Track
from tailrace.testing.telling import MOST_LINES, nearest, order_lines

LABEL = ("app.move", None)


def steps(count: int, held: set[int], track: Track | None = None) -> list[RanStep]:
    """The steps of one handler."""
    track = track or Track("0" * 8, is_ours=False, label=LABEL)
    return [
        RanStep(track, number, LABEL, None, "still" if number in held else None) for number in range(count)
    ]


def test_a_short_schedule_is_told_whole() -> None:
    lines = order_lines(steps(3, set()), (), "")
    assert lines == [
        "  1  move ←   begins",
        "  2  move ←   goes on",
        "  3  move ←   goes on",
        'replay: world.explore(…, replay="")',
    ]


def test_a_long_one_keeps_what_was_held_and_its_neighbours() -> None:
    lines = order_lines(steps(100, {50}), (), "x")
    assert len(lines) == MOST_LINES
    assert [line.split()[0] for line in lines[:-1]] == [str(number) for number in range(47, 56)]
    assert "held until nothing else could go on" in lines[4]


def test_all_holds_stay_when_they_are_far_apart() -> None:
    lines = order_lines(steps(100, {3, 40, 90}), ("duplicate.1",), "x")
    assert sum("held" in line for line in lines) == 3
    assert len(lines) == MOST_LINES
    assert lines[-2] == "faults: duplicate.1"


def test_a_hold_before_the_handler_is_called_stands_at_its_begin() -> None:
    track = Track("1" * 8, is_ours=False, label=LABEL)
    ran = [
        RanStep(track, 1, None, None, "later"),
        RanStep(track, 0, LABEL, None),
        RanStep(track, 2, LABEL, None),
    ]
    assert order_lines(ran, (), "")[0] == "  1  move ←   begins  ← held until the next timer"


def test_a_delivery_between_two_writes_is_a_line() -> None:
    ran = [RanStep(WRITES, 1, None, None), RanStep(WRITES, 2, None, None, 5), *steps(1, set())]
    assert (
        order_lines(ran, (), "")[0] == "  1  delivery goes on for 5 turns after write 2, before the next one"
    )


def test_without_holds_the_end_is_told() -> None:
    assert nearest(30, [], 3) == [27, 28, 29]
    assert nearest(2, [], 9) == [0, 1]
