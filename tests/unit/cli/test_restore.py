"""`tailrace restore`: what it says at its end."""

from collections import Counter

import click
import pytest

from tailrace.cli.restore import _RestoreChoices, _tell, restore
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
