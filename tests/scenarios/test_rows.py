"""Every row of the specification's tables, and every policy in every trouble, is played by a scenario."""

import re

import pytest

from tests.scenarios import rows
from tests.scenarios.__main__ import page, scenarios

PLAYED = scenarios()


@pytest.mark.parametrize("row", rows.every())
def test_a_row_is_played_by_a_scenario_that_shows_it(row: str) -> None:
    playing = [scenario for scenario in PLAYED if row in scenario.rows]
    assert playing, f"write a scenario with `# row: {row}` in its head"
    fact = re.compile(rows.FACTS[row])
    assert [scenario.name for scenario in playing if fact.search(" ".join(scenario.trace.split()))], (
        fact.pattern
    )


@pytest.mark.parametrize(("row", "sequence"), rows.SEQUENCES.items())
def test_the_invocations_captured_on_aws_are_repeated(row: str, sequence: str) -> None:
    for scenario in PLAYED:
        if row in scenario.rows:
            assert " ".join(re.findall(r"invoke (\[[\d ]*\])", scenario.trace)) == sequence


@pytest.mark.parametrize(
    "scenario", [scenario for scenario in PLAYED if scenario.rows], ids=lambda scenario: scenario.name
)
def test_a_scenario_names_rows_that_there_are(scenario: object) -> None:
    unknown = set(scenario.rows) - set(rows.every())  # type: ignore[attr-defined]
    assert not unknown


def test_a_row_that_nobody_plays_would_be_found() -> None:
    """The canary: without the scenarios that play it, a row is missed."""
    others = [scenario for scenario in PLAYED if "2.6/lowest" not in scenario.rows]
    assert len(others) < len(PLAYED)
    assert "2.6/lowest" not in {row for scenario in others for row in scenario.rows}


def test_the_page_tells_every_row_and_every_scenario_once() -> None:
    text = page(PLAYED)
    for row in rows.every().values():
        assert row in " ".join(text.split())
    for scenario in PLAYED:
        assert text.count(f"\n--- {scenario.name} ") == 1, scenario.name
