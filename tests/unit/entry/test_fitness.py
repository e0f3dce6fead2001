"""What Lambda can give a handler: refused, fitted, or said."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import sinks
from tailrace.app.app import App
from tailrace.app.on_failure import Discard, Drop, Park
from tailrace.app.retry import Retry
from tailrace.app.window import Window
from tailrace.entry.fitness import Verdict, attempts_within, chosen, fitted, judge, mapping_settings
from tailrace.errors import SettingsError
from tailrace.mapping.settings import INFINITE, Backoff, MappingSettings
from tailrace.testing.mirrors import MirrorMemory


def audit(change: Any) -> None:
    """A handler."""


def handler(**settings: Any) -> Callable[[App], None]:
    def declare(app: App) -> None:
        app.on(app.table("orders", pk="id"), id="audit", **settings)(audit)

    return declare


def totals(total: int, order: dict[str, Any], sign: int) -> int:
    """A projection."""
    return total + sign


def projection(app: App) -> None:
    app.projection(app.table("orders", pk="id"))(totals)


def window(app: App) -> None:
    @app.window(app.table("orders", pk="id"), every="1m")
    def minutes(window: Window) -> None:
        """Nothing."""


def function(app: App) -> None:
    app.function(audit, app.table("orders", pk="id"), id="audit")


def only_keys(app: App) -> None:
    app.on(app.table("orders", pk="id", stream="KEYS_ONLY"), id="audit")(audit)


def versioned(app: App) -> None:
    app.sink(app.table("orders", pk="id"), sinks.DynamoDB("copies"))


def judged(declare: Callable[[App], None], *, keeps: bool) -> list[Verdict]:
    app = App("shop")
    declare(app)
    return judge(app, keeps=keeps)


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (projection, "a projection is filled"),
        (window, "when it is over"),
        (function, "mapping of its own"),
        (only_keys, "KEYS_ONLY"),
    ],
)
def test_what_needs_a_worker_that_stays_is_refused_with_a_state_table_too(
    declare: Callable[[App], None], words: str
) -> None:
    app = App("shop")
    declare(app)
    for keeps in (True, False):
        with pytest.raises(SettingsError, match=words) as refused:
            chosen(app, {}, keeps=keeps)
        assert "TAILRACE_HANDLERS" in str(refused.value)
    assert any(verdict.word == "refused" and words in verdict.says for verdict in judge(app, keeps=True))


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (handler(once=True), "once=True"),
        (versioned, "DynamoDB keeps versions"),
        (handler(on_failure=Discard(to=sinks.Sqs("failed"))), "no table to keep them"),
    ],
)
def test_what_needs_a_state_table_is_refused_without_one_alone(
    declare: Callable[[App], None], words: str
) -> None:
    app = App("shop")
    declare(app)
    with pytest.raises(SettingsError, match=words):
        chosen(app, {}, keeps=False)
    assert len(chosen(app, {}, keeps=True)) == 1


def test_marks_may_be_kept_beside_the_items_of_transactions() -> None:
    app = App("shop")
    handler(once=True)(app)
    app.transactions(object(), "marks")
    assert len(chosen(app, {}, keeps=False)) == 1


def test_the_environment_names_the_handlers_of_a_function() -> None:
    app = App("shop")
    handler()(app)
    app.projection(app.tables["orders"])(totals)
    assert [mapping.id for mapping in chosen(app, {"TAILRACE_HANDLERS": " audit ,"}, keeps=True)] == ["audit"]
    with pytest.raises(SettingsError, match="'audits' is no handler"):
        chosen(app, {"TAILRACE_HANDLERS": "audits"}, keeps=True)


@pytest.mark.parametrize(
    ("declare", "keeps", "words"),
    [
        (handler(), False, "there is no state table"),
        (handler(), True, "2 times within 5 s: then it is parked"),
        (handler(), False, "then it is left to Lambda"),
        (handler(on_failure=Discard()), True, "then it is a dead letter"),
        (handler(on_failure=Discard()), True, "longest_batch_s"),
        (handler(on_failure=Discard(to=sinks.Sqs("failed"))), True, "told of dead letters when the schedule"),
        (handler(on_failure=Drop), True, "dropped, earlier than elsewhere"),
        (handler(retry=Retry(INFINITE)), True, "tried again without end"),
        (handler(maximum_record_age_ms=60_000), False, "MaximumRecordAgeInSeconds"),
        (handler(batching_window_ms=1_001), True, "MaximumBatchingWindowInSeconds=2"),
        (handler(), True, "calls itself"),
    ],
)
def test_what_means_something_else_is_said(declare: Callable[[App], None], keeps: bool, words: str) -> None:
    said = judged(declare, keeps=keeps)
    assert any(verdict.word == "differs" and words in verdict.says for verdict in said), said


@pytest.mark.parametrize(
    ("declare", "keeps", "words"),
    [
        (handler(), True, "no state table"),
        (handler(retry=Retry(2)), True, "a failing change would be tried again"),
        (handler(on_failure=Park.shard), True, "a failing change would be tried again"),
        (handler(maximum_record_age_ms=60_000), True, "MaximumRecordAgeInSeconds"),
        (handler(), True, "longest_batch_s"),
    ],
)
def test_what_means_the_same_is_not_said(declare: Callable[[App], None], keeps: bool, words: str) -> None:
    assert not any(words in verdict.says for verdict in judged(declare, keeps=keeps))


def test_attempts_are_as_many_as_their_waits_fit() -> None:
    assert attempts_within(Backoff(1_000, 2.0, 300_000), 7_000) == 3
    assert attempts_within(Backoff(1_000, 2.0, 300_000), 6_999) == 2
    assert attempts_within(Backoff(0, 1.0, 0), 5_000) == 50
    assert attempts_within(Backoff(10_000, 2.0, 300_000), 5_000) == 0


def test_settings_are_fitted_to_an_invocation() -> None:
    asked = MappingSettings(
        "audit", on_failure="discard", maximum_record_age_ms=60_000, batching_window_ms=500
    )
    with_state, without = fitted(asked, keeps=True), fitted(asked, keeps=False)
    assert (with_state.on_failure, with_state.maximum_record_age_ms) == ("discard", 60_000)
    assert (without.on_failure, without.maximum_record_age_ms) == ("park", INFINITE)
    assert with_state.batching_window_ms == without.batching_window_ms == 0
    assert with_state.maximum_retry_attempts == 2
    assert fitted(MappingSettings("a", maximum_retry_attempts=1), keeps=True).maximum_retry_attempts == 1


def test_the_settings_of_the_event_source_mapping_are_those_of_its_handlers() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.on(orders, id="one", batch_size=10, batching_window_ms=1_500)(audit)
    app.on(orders, id="two", batch_size=200)(audit)
    settings = mapping_settings(app.mappings)
    assert (settings["BatchSize"], settings["MaximumBatchingWindowInSeconds"]) == (200, 2)
    assert settings["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert settings["StartingPosition"] == "TRIM_HORIZON"


def test_a_snapshot_takes_workers_that_stay() -> None:
    app = App("shop")
    app.sink(app.table("orders", pk="id"), MirrorMemory(), id="copy", snapshot=True)
    refused = [verdict for verdict in judge(app, keeps=True) if verdict.word == "refused"]
    assert [verdict.handler for verdict in refused] == ["copy"]
    assert "which takes workers that stay" in refused[0].says
