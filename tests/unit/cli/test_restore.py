"""`tailrace restore`: what it says at its end."""

import json
from collections import Counter

import click
import pytest

from tailrace import App, Change
from tailrace.cli.failures import CommandFailure
from tailrace.cli.restore import _RestoreChoices, _tell, check_handlers, restore, tell_cut_off
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


def test_what_time_to_live_deletes_at_once_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    asked = _RestoreChoices("copy", 0, [], overwrite=False, dry_run=False, yes=True, as_json=False)
    asked.look_at(b'{"until":{"N":"1"}}', 10_000)
    asked.ttl = "until"
    for image in (b'{"until":{"N":"9"}}', b'{"until":{"N":"10"}}', b'{"until":{"S":"1"}}', b"{}", None):
        asked.look_at(image, 10_000)
    assert asked.expired == 1
    with click.Context(restore):
        _tell(RestoreReport(Counter(put=5)), asked)
    assert "Time to Live deletes 1 item of these: until is over." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("into", "region"),
    [
        ("orders", "us-east-1"),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/orders", "us-east-1"),
        ("users", "eu-west-1"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/users", "us-east-1"),
    ],
)
def test_a_table_with_handlers_is_refused_by_whichever_name(
    into: str, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    app = App("shop")
    users = app.table("users", pk="id", region="eu-west-1", account="123456789012")
    for table in (app.table("orders", pk="id"), users):

        @app.on(table, id=f"seen-{table.name[-5:]}")
        def seen(change: Change) -> None: ...

    with pytest.raises(CommandFailure, match="has handlers of table"):
        check_handlers(app, "app.py", into, region, trigger=False)
    check_handlers(app, "app.py", into, region, trigger=True)
    check_handlers(app, "app.py", "orders-restored", region, trigger=False)
    check_handlers(app, "app.py", "orders", "eu-west-1", trigger=False)


def test_a_restore_that_is_cut_off_beside_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    asked = _RestoreChoices("copy", 0, [], overwrite=False, dry_run=False, yes=True, as_json=True)
    tell_cut_off(RestoreReport(Counter(put=2), total=9), asked)
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "dry_run": False, "counts": {"put": 2}, "left": [], "expired": 0, "total": 9,
        "cut_off": True,
    }  # fmt: skip
    assert told.err == ""
