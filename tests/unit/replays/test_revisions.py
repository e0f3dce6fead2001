"""How far two revisions are that are replayed beside each other, as their processes write it down."""

from io import StringIO
from pathlib import Path

from tailrace.clocks.manual import ManualClock
from tailrace.replays.core.effects import ReplayCounts
from tailrace.replays.run.revisions import Reporting, reported


def test_both_are_told_together_and_the_total_when_both_have_said_it(tmp_path: Path) -> None:
    one, other = tmp_path / "before.progress", tmp_path / "now.progress"
    assert reported([one, other]) == (0, None)
    one.write_text("")
    other.write_text("3 10\n7 10\n")
    assert reported([one, other]) == (7, None)
    one.write_text("1 10\n2 1")  # half a line is not read
    assert reported([one, other]) == (8, 20)


def test_it_is_written_down_now_and_then_and_at_the_end() -> None:
    lines, clock = StringIO(), ManualClock(0)
    told = Reporting(lines, clock)
    for changes in range(1, 1_001):
        told(ReplayCounts(changes), 1_000)
        clock.advance(1)
    assert lines.getvalue().splitlines() == [f"{done} 1000" for done in (1, 201, 401, 601, 801, 1_000)]
