"""Every scenario file beside this one: what is above `----` is played, what is below is what must happen.

`make scenarios REWRITE=1` writes what happens now below the line; the reviewer of the
change reads the difference.
"""

import os
from pathlib import Path

import pytest

from tests.scenarios.language import play

HERE = Path(__file__).parent
LINE = "----\n"
FILES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_machine_does_what_the_scenario_says(file: Path) -> None:
    script, _, expected = file.read_text().partition(LINE)
    trace = play(script)
    if os.environ.get("REWRITE"):
        file.write_text(script + LINE + trace)
        return
    assert trace == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_begins_by_saying_why(file: Path) -> None:
    assert file.read_text().startswith("# ")


def test_a_changed_trace_is_noticed() -> None:
    """The canary of the runner: another sink gives another trace."""
    script = "settings lambda\nrecords 1 2\n{}start\n"
    assert play(script.format("")) != play(script.format("fail 2\n"))
