"""The mutants as they are written: each is about a line that is there. `make mutate` runs them.

Rules of this file: quick; of the campaign itself only what shows that it can tell a caught
mutant from a survivor.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation.campaign import Unsound, judge_all
from tests.mutation.canary import CANARY
from tests.mutation.mutant import ROOT, Mutant, Rotten
from tests.mutation.mutants import MUTANTS
from tests.mutation.survivors import SURVIVORS


@pytest.mark.parametrize("mutant", [CANARY, *MUTANTS], ids=lambda mutant: mutant.name)
def test_the_line_of_a_mutant_is_there_once(mutant: Mutant) -> None:
    mutant.check()
    text = mutant.applied((ROOT / "src" / "tailrace" / mutant.file).read_text())
    compile(text, mutant.file, "exec")


def test_those_that_once_survived_and_twenty_more_are_replayed() -> None:
    assert len(SURVIVORS) == 8
    assert len(MUTANTS) >= 28
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


def test_a_mutant_whose_line_has_changed_says_so() -> None:
    gone = replace(CANARY, name="gone", original="a line that nobody wrote")
    with pytest.raises(
        Rotten, match=r"gone: its text is in .*canonical.py 0 times .* 'a line that nobody wrote'"
    ):
        gone.check()
    with pytest.raises(Rotten, match=r"there is no tests/unit/nowhere\.py"):
        replace(CANARY, tests=("unit/nowhere.py",)).check()


def test_a_change_that_no_test_looks_at_survives_and_one_that_is_looked_at_names_its_test() -> None:
    noticed = replace(CANARY, name="noticed", tests=("unit/values/test_number.py",))
    before = Path(ROOT / "src" / "tailrace" / CANARY.file).read_bytes()
    canary, caught = judge_all([CANARY, noticed], 1, lambda _: None)
    assert (canary.caught_by, canary.said) == ("", "SURVIVED")
    assert caught.caught_by.startswith("unit/values/test_number.py::test_")
    assert Path(ROOT / "src" / "tailrace" / CANARY.file).read_bytes() == before


def test_tests_that_fail_without_a_mutant_prove_nothing() -> None:
    with pytest.raises(Unsound):
        judge_all([replace(CANARY, tests=("unit/mapping/test_retry.py::test_nowhere",))], 1, lambda _: None)
