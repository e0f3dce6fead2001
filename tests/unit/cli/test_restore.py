"""`tailrace restore`: what it says at its end."""

import json
from collections import Counter

import click
import pytest

from tailrace.cli.restore import _RestoreChoices, _tell, restore, tell_cut_off
from tailrace.journal.run.restoring import RestoreReport


@pytest.mark.parametrize(
    ("counts", "more", "hint"),
    [
        ({"overtaken": 22}, "  … and 20 more", "the same command again: somebody wrote them meanwhile"),
        ({"overtaken": 1, "differs": 2}, "  … and 1 more", "the same command with --overwrite replaces them"),
        ({"differs": 2}, None, "the same command with --overwrite replaces them"),
    ],
)
def test_what_was_left_is_counted_beyond_what_is_named_and_has_a_next_step(
    counts: dict[str, int], more: str | None, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = RestoreReport(Counter(counts), [{"id": {"S": "a"}}, {"id": {"S": "b"}}])
    asked = _RestoreChoices("copy", 0, [], overwrite=False, dry_run=False, yes=True, as_json=False)
    with click.Context(restore), pytest.raises(click.exceptions.Exit) as ended:
        _tell(report, asked)
    lines = capsys.readouterr().out.splitlines()[1:]
    expected = ["  left: a", "  left: b", *([more] if more else []), f"  next: {hint}"]
    assert (ended.value.exit_code, lines) == (1, expected)


@pytest.mark.parametrize(
    ("dry_run", "words"),
    [
        (False, "cut off after 5 of 9 items: 3 of them were written"),
        (True, "of 9 items: nothing was written"),
    ],
)
def test_a_restore_that_is_cut_off_says_how_far_it_was(
    dry_run: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = RestoreReport(Counter(put=2, delete=1, same=2), total=9)
    asked = _RestoreChoices("copy", 0, [], overwrite=False, dry_run=dry_run, yes=True, as_json=False)
    tell_cut_off(report, asked)
    told = capsys.readouterr()
    assert words in told.err
    assert ("on their way" in told.err) is not dry_run
    assert "next: the same command again" in told.err
    assert told.out == ""


def test_a_restore_that_is_cut_off_beside_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    asked = _RestoreChoices("copy", 0, [], overwrite=False, dry_run=False, yes=True, as_json=True)
    tell_cut_off(RestoreReport(Counter(put=2), total=9), asked)
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "dry_run": False, "counts": {"put": 2}, "left": [], "total": 9, "cut_off": True
    }  # fmt: skip
    assert told.err == ""
