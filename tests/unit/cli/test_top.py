"""`tailrace top` in words: what it draws, what calls cost, and what it takes from workers' metrics."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.aws.prices import AS_OF, PRICES
from tailrace.cli import top as command
from tailrace.cli.main import run
from tailrace.cli.scraping import read_calls, scraped
from tailrace.cli.top_cost import UNITS, costs, month
from tailrace.server.observe import Observed, metrics
from tests.docs.reference import ROOT


def frame(ms: int, settled: int, writes: int, shards: int = 3) -> dict[str, Any]:
    """A moment of a fleet, as the verb answers it."""
    return {
        "wall_ms": 1_700_000_000_000 + ms,
        "monotonic_ms": ms,
        "workers": [{"worker": "w-1", "leases": shards, "lag_ms": 5_000}],
        "handlers": [
            {
                "handler": "note", "app": "shop", "table": "orders", "paused": False, "lag_ms": 5_000,
                "shards": shards, "waiting_shards": 1, "parked_keys": 2, "dead_letters": 4, "open_gaps": 0,
                "in_flight": None, "settled": settled,
            }
        ],
        "shards": [
            {
                "app": "shop", "table": "orders", "stream": "s", "shard": f"shard-{number}", "closed": False,
                "owner": "w-1", "lag_ms": 5_000 - number, "waiting": 1, "finished": number == 2,
            }
            for number in range(shards)
        ],
        "hot_keys": [{"handler": "note", "table": "orders", "key": "[o1]", "changes": 9}],
        "writes": {"checkpoints": {"row": [1, writes]}},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield frame(0, 10, 4)
        yield frame(2_000, 30, 8)
        yield frame(4_000, 30, 8)

    monkeypatch.setattr(command, "answers", answers)


def test_once_says_what_lies_between_two_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "--once", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    look = json.loads(line)
    assert look["rates"]["settled"] == {"shop/note": 10.0}
    assert look["rates"]["writes"] == {"checkpoints": 2.0}
    assert look["rates"]["calls"] == [
        {"call": "state: checkpoints", "per_second": 2.0, "usd_per_month": None}
    ], "a data directory costs nothing by the write"
    assert "writes" not in look


def test_json_says_every_look_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "--json"]) == 0
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [look["rates"]["settled"]["shop/note"] for look in looks] == [10.0, 0.0]


def test_without_a_terminal_it_is_said_once_in_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top"]) == 0
    said = capsys.readouterr().out
    assert "1 worker · 2 shards · lag 5s · 10.0 changes/s" in said
    assert "orders/[o1]" in said
    assert "shard-1" in said
    assert "shard-2" not in said, "all handlers have finished it"
    assert said.count("HOT KEY") == 1


def test_a_table_has_no_more_rows_than_there_is_room_for_and_says_how_many_more() -> None:
    look = {**frame(0, 1, 1, shards=9), "rates": {"settled": {}, "writes": {}, "calls": []}}
    from rich.console import Console

    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        for part in command.parts(look, rows=3):
            console.print(part)
    assert "… and 5 more" in capture.get()


def test_a_state_in_dynamodb_costs_by_the_write_and_any_other_does_not() -> None:
    (rate,) = costs({"checkpoints": 2.0}, None, is_dynamodb=True)
    assert rate.usd_per_month == month("write", 2.0) == round(2 * 2_628_000 * 0.625 / 1e6, 4)
    (rate,) = costs({"checkpoints": 2.0}, None, is_dynamodb=False)
    assert rate.usd_per_month is None


def test_a_call_without_a_price_is_told_without_a_cost() -> None:
    calls = {("dynamodbstreams", "get_records"): 1.0, ("sns", "publish"): 1.0}
    rates = costs({}, calls, is_dynamodb=True)
    assert [(rate.call, rate.usd_per_month) for rate in rates] == [
        ("dynamodbstreams get_records", 0.5256), ("sns publish", None),
    ]  # fmt: skip
    assert set(UNITS.values()) <= set(PRICES)


def test_calls_of_workers_are_read_from_what_they_expose() -> None:
    _, _, body = metrics(
        Observed("1", calls={("get_records", "ok"): 6, ("get_records", "ThrottlingException"): 1})
    )
    assert read_calls(body.decode()) == {("dynamodbstreams", "get_records"): 7}


def test_a_worker_that_does_not_answer_is_counted_and_left_out() -> None:
    asked = scraped(["http://127.0.0.1:9/metrics", "file:///etc/hostname"])
    assert (asked.asked, asked.silent, asked.calls) == (2, 2, {})


def test_the_page_of_prices_has_each_price_and_its_date() -> None:
    page = (ROOT / "docs" / "reference" / "prices.md").read_text(encoding="utf-8")
    assert AS_OF in page
    for price in PRICES.values():
        assert f"| {price.unit} | {price.usd_per_million:g} | {price.source} |" in page


def test_names_are_shortened_before_figures_are_and_nothing_where_no_terminal_is() -> None:
    from rich.console import Console

    name = "a-handler-with-a-name-that-is-longer-than-most-terminals-are-wide-by-far"
    look = {**frame(0, 1, 1), "rates": {"settled": {}, "writes": {}, "calls": []}}
    look["handlers"] = [{**look["handlers"][0], "handler": name, "lag_ms": 2_479_000}]
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        for part in command.parts(look, rows=3):
            console.print(part)
    assert "41m19s" in capture.get()
    assert "…" in capture.get()
    assert any(name in line and "41m19s" in line for line in command.lines(look))
