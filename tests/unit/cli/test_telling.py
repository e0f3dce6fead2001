"""The bar of long work: what it says on a terminal and elsewhere, and that its estimate is right."""

import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tailrace.cli.telling import DRAWN_S, ESTIMATED_S, LINE_S, Bar
from tests.terminal import on_terminal

CLEARED = "\x1b[2K"


class Hand:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def terminal(*, is_one: bool, width: int = 80) -> Console:
    return Console(file=StringIO(), force_terminal=is_one, width=width, _environ={"TERM": "xterm"})


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_terminal_has_one_line_that_is_drawn_again_and_taken_away() -> None:
    console, clock = terminal(is_one=True), Hand()
    with Bar("replaying", "change", console=console, clock=clock) as bar:
        for done in range(0, 60, 10):
            bar.show(done, 2_000)
            clock.now_s += 1
        drawn = written(console)
    assert "\n" not in drawn
    assert "50 of 2,000 changes, 10 a second, about 3m15s left" in drawn
    assert drawn.count(CLEARED) >= 5
    assert written(console).endswith(CLEARED), "nothing of it stays"


def test_a_narrow_terminal_has_one_line_too() -> None:
    console, clock = terminal(is_one=True, width=40), Hand()
    with Bar("a long piece of work that is done", console=console, clock=clock) as bar:
        for done in (1, 500, 900):
            bar.show(done, 1_000_000)
            clock.now_s += 1
        drawn = written(console)
    assert "\n" not in drawn


def test_a_terminal_is_not_drawn_more_often_than_is_seen() -> None:
    console, clock = terminal(is_one=True), Hand()
    with Bar("reading", console=console, clock=clock) as bar:
        bar.show(1, 10)
        begun = len(written(console))
        clock.now_s += DRAWN_S * 0.9
        bar.show(2, 10)
        assert len(written(console)) == begun
        clock.now_s += DRAWN_S * 0.2
        bar.show(3, 10)
        assert "3 of 10 items" in written(console)[begun:]


def test_elsewhere_a_line_now_and_then_says_the_same() -> None:
    console, clock = terminal(is_one=False), Hand()
    with Bar("replaying", "change", console=console, clock=clock) as bar:
        for done in range(0, 300, 10):
            bar.show(done, 400)
            clock.now_s += 1
    lines = written(console).splitlines()
    assert LINE_S == 10
    assert lines == [
        "  replaying: 100 of 400 changes, 10 a second, about 30s left",
        "  replaying: 200 of 400 changes, 10 a second, about 20s left",
    ]


def test_work_that_takes_no_time_says_nothing_elsewhere() -> None:
    console = terminal(is_one=False)
    with Bar("reading", console=console, clock=Hand()) as bar:
        for done in range(100):
            bar.show(done, 100)
    assert written(console) == ""


@pytest.mark.parametrize("is_one", [True, False])
def test_beside_json_nothing_is_said(is_one: bool) -> None:
    console, clock = terminal(is_one=is_one), Hand()
    with Bar("reading", quiet=True, console=console, clock=clock) as bar:
        for done in range(100):
            bar.show(done, 100)
            clock.now_s += LINE_S
    assert written(console) == ""


def test_what_a_resumed_command_finds_done_is_no_speed() -> None:
    console, clock = terminal(is_one=False), Hand()
    with Bar("replaying", "change", console=console, clock=clock) as bar:
        for second in range(12):
            bar.show(1_000_000 + second, 1_000_100)
            clock.now_s += 1
    assert "1,000,010 of 1,000,100 changes, 1.0 a second, about 1m30s left" in written(console)


def test_the_speed_is_that_of_the_last_minute() -> None:
    console, clock = terminal(is_one=False), Hand()
    done = 0
    with Bar("writing", console=console, clock=clock) as bar:
        for second in range(int(ESTIMATED_S * 3)):
            bar.show(done, 100_000)
            done += 100 if second < ESTIMATED_S else 1
            clock.now_s += 1
    lines = written(console).splitlines()
    assert "100 a second" in lines[2]
    assert ", 1.0 a second" in lines[-1]


def test_an_estimate_that_was_too_low_is_no_longer_said() -> None:
    console, clock = terminal(is_one=False), Hand()
    with Bar("writing", console=console, clock=clock) as bar:
        for second in range(41):
            bar.show(second * 10, 250)
            clock.now_s += 1
    assert written(console).splitlines()[1:] == [
        "  writing: 200 of 250 items, 10 a second, about 5s left",
        "  writing: 300 items, 10 a second",
        "  writing: 400 items, 10 a second",
    ]


def test_another_piece_of_the_work_begins_its_own_estimate() -> None:
    console, clock = terminal(is_one=False), Hand()
    with Bar("reading", console=console, clock=clock) as bar:
        for phase, speed in (("reading", 10), ("judging", 1)):
            for second in range(12):
                bar.show(second * speed, 200, phase)
                clock.now_s += 1
    assert written(console).splitlines() == [
        "  reading: 100 of 200 items, 10 a second, about 10s left",
        "  judging: 10 of 200 items, 1.0 a second, about 3m10s left",
    ]


def test_what_names_a_table_cannot_steer_the_terminal() -> None:
    console = terminal(is_one=True)
    with Bar("\x1b[31m[bold]orders", console=console, clock=Hand()) as bar:
        bar.show(1, 2)
    assert "\x1b[31m[bold]" not in written(console)
    assert "[bold]orders" in written(console)


def test_a_dumb_terminal_has_lines() -> None:
    clock = Hand()
    console = Console(file=StringIO(), force_terminal=True, width=80, _environ={"TERM": "dumb"})
    with Bar("reading", console=console, clock=clock) as bar:
        for done in range(12):
            bar.show(done, 100)
            clock.now_s += 1
    assert written(console).splitlines() == ["  reading: 10 of 100 items, 1.0 a second, about 1m30s left"]


PROGRAM = """
import sys
from tailrace.cli.telling import Bar
now = [0.0]
with Bar("replaying", "change", clock=lambda: now[0]) as bar:
    for done in range(3):
        bar.show(done, 10)
        print(f"line {done} of the output")
        now[0] += 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
@pytest.mark.parametrize("is_output_a_file", [True, False])
def test_what_is_written_meanwhile_goes_where_it_belongs(tmp_path: Path, is_output_a_file: bool) -> None:
    file = tmp_path / "output"
    with file.open("wb") as output:
        code, shown = on_terminal(["-c", PROGRAM], stdout=output if is_output_a_file else None)
    lines = [f"line {done} of the output" for done in range(3)]
    assert code == 0
    assert "2 of 10 changes, 1.0 a second" in shown
    if is_output_a_file:
        assert file.read_text().splitlines() == lines
        assert "line" not in shown
    else:
        assert [line for line in lines if line in shown] == lines
