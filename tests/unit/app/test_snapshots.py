"""What an app says of the snapshots of a sink, and what is refused."""

import re
from typing import Any

import pytest

from tailrace import App, Snapshots
from tailrace.errors import SettingsError
from tailrace.tables.costs import ASK, AskBound
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror

WRONG = [
    ({"read_units": 0}, "Snapshots: read_units=0 is not allowed; it is a number of 1 or more"),
    ({"read_units": True}, "Snapshots: read_units=True is not allowed; it is a number of 1 or more"),
    (
        {"usd_per_million": -0.1},
        "Snapshots: usd_per_million=-0.1 is not allowed; it is a number of 0 or more",
    ),
    ({"ask_usd": None}, "Snapshots: ask_usd=None is not allowed; it is a number of 0 or more"),
    ({"ask_usd": float("nan")}, "Snapshots: ask_usd=nan is not allowed; it is a number of 0 or more"),
    (
        {"ask_after": 600},
        "Snapshots: ask_after=600 is not allowed; it is a duration such as '10m', '24h' or '7d'",
    ),
    (
        {"keep_deletions": "23.9h"},
        "Snapshots: keep_deletions='23.9h' is not allowed; it is a duration such as '10m', '24h' or '7d', of "
        "a day or more",
    ),
]


@pytest.mark.parametrize(("settings", "words"), WRONG)
def test_a_wrong_setting_is_refused_where_it_is_written(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        Snapshots(**settings)


def test_the_least_of_each_is_allowed() -> None:
    least = Snapshots(read_units=1, usd_per_million=0, ask_usd=0, ask_after="0s", keep_deletions="24h")
    assert (least.bound, least.keep_ms) == (AskBound(0, 0), 86_400_000)


def test_without_settings_a_week_is_kept_and_the_bound_is_that_of_comparisons() -> None:
    assert (Snapshots().bound, Snapshots().keep_ms) == (ASK, 7 * 86_400_000)


def declared(snapshot: Any) -> Snapshots:
    app = App("shop")
    app.sink(app.table("orders", pk="id"), MirrorMemory(SimulatedMirror()), id="copy", snapshot=snapshot)
    (mapping,) = app.mappings
    return mapping.snapshots


def test_true_and_false_are_settings_too() -> None:
    assert declared(True) == Snapshots()
    assert declared(False) == Snapshots(automatic=False)
    assert declared(Snapshots(read_units=9)).read_units == 9


def test_anything_else_is_refused() -> None:
    with pytest.raises(SettingsError, match=re.escape("snapshot='daily' is not allowed; it is True or")):
        declared("daily")


def test_settings_for_a_sink_that_takes_no_tables_are_refused() -> None:
    class Prints:
        async def write(self, batch: object) -> None:
            """Nothing."""

    app = App("shop")
    with pytest.raises(SettingsError, match="Prints keeps no versions and deletions"):
        app.sink(app.table("orders", pk="id"), Prints(), snapshot=Snapshots(automatic=False))  # type: ignore[arg-type]
