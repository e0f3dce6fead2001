"""Lambda functions as sinks: the event, the context, and every row of what an answer means."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App
from tailrace.app.app import HandlerMapping
from tailrace.clocks.manual import ManualClock
from tailrace.functions.runners import Runners
from tailrace.ports import Failed, FailedFrom, Outcome, Written
from tailrace.sinks.lambda_function import LambdaSink
from tailrace.streams.windows import WindowInvoke
from tailrace.testing import World
from tailrace.testing.loop import SeededLoop
from tests.unit.sinks.batches import STREAM, batch

SECOND = "1000000000000000000002"
THIRD = "1000000000000000000003"


def invoke(
    function: Any, keys: str = "abc", *, reports: bool = True, clock: ManualClock | None = None
) -> Outcome:
    """What the sink says."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.function(
        function, orders, id="legacy", FunctionResponseTypes=["ReportBatchItemFailures"] if reports else []
    )
    declared: HandlerMapping = next(iter(app.mappings))
    sink = LambdaSink(declared, Runners(clock or ManualClock()).of(declared), "000000000000")
    loop = SeededLoop(1)
    try:
        outcome: Outcome = loop.run_until_complete(sink.write(batch(keys)))
        return outcome
    finally:
        loop.close()


def meaning(outcome: Outcome) -> str:
    """In one word."""
    match outcome:
        case Written():
            return "success"
        case FailedFrom(index):
            return f"from {index}"
        case Failed(_, whole) if whole is not None:
            return "total failure"
    return repr(outcome)


def named(*identifiers: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, "success"),
        (None, "success"),
        ("", "success"),
        ({"batchItemFailures": []}, "success"),
        ({"batchItemFailures": None}, "success"),
        ({"other": 1}, "success"),
        (named(SECOND), "from 1"),
        (named(THIRD, SECOND), "from 1"),
        (named(THIRD), "from 2"),
        (named(""), "total failure"),
        (named(None), "total failure"),
        ({"batchItemFailures": [{"foo": SECOND}]}, "total failure"),
        ({"batchItemFailures": [{}]}, "total failure"),
        (named("1000000000000000000099"), "total failure"),
        (named(SECOND, "nonsense"), "total failure"),
        (named(["a list"]), "total failure"),
        ({"batchItemFailures": "text"}, "total failure"),
        ({"batchItemFailures": {"itemIdentifier": SECOND}}, "total failure"),
        ({"answer": object()}, "total failure"),
    ],
)
def test_an_answer_means_what_it_means_on_aws(answer: Any, expected: str) -> None:
    assert meaning(invoke(lambda event, context: answer)) == expected


@pytest.mark.parametrize("answer", [named(SECOND), named(""), {"batchItemFailures": "text"}, "text", 7])
def test_an_answer_is_ignored_where_the_feature_is_off(answer: Any) -> None:
    assert meaning(invoke(lambda event, context: answer, reports=False)) == "success"


@pytest.mark.parametrize("reports", [True, False])
def test_an_answer_without_a_json_form_is_an_error_of_lambdas_runtime(reports: bool) -> None:
    outcome = invoke(lambda event, context: {1, 2}, reports=reports)
    assert isinstance(outcome, Failed)
    assert outcome.whole is not None
    assert (
        outcome.whole.error
        == "MarshalError: Unable to marshal response: Object of type set is not JSON serializable"
    )


def test_decimals_in_an_answer_are_numbers() -> None:
    assert meaning(invoke(lambda event, context: {"total": Decimal("1.5")})) == "success"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), asyncio.CancelledError()])
def test_an_exception_fails_the_whole_batch(error: BaseException) -> None:
    def handler(event: Any, context: Any) -> None:
        raise error

    assert meaning(invoke(handler)) == "total failure"


def test_the_event_is_the_one_that_lambda_gets() -> None:
    events: list[Any] = []
    invoke(lambda event, context: events.append(event), "a")
    ((record,),) = [event["Records"] for event in events]
    assert record["eventSourceARN"] == STREAM.arn
    assert (record["eventName"], record["eventSource"], record["eventVersion"]) == (
        "INSERT",
        "aws:dynamodb",
        "1.1",
    )
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "n": {"N": "1"}}
    assert record["dynamodb"]["ApproximateCreationDateTime"] == 1_700_000_000.0
    assert "OldImage" not in record["dynamodb"]


def test_a_function_may_change_its_event_without_harm() -> None:
    seen: list[int] = []

    def handler(event: Any, context: Any) -> None:
        seen.append(len(event["Records"]))
        event["Records"].clear()

    for _ in range(2):
        invoke(handler)
    assert seen == [3, 3]


def test_the_context_is_faithful() -> None:
    clock = ManualClock()
    contexts: list[Any] = []

    def handler(event: Any, context: Any) -> None:
        contexts.append(context)
        clock.advance(1_000)

    invoke(handler, clock=clock)
    invoke(handler, clock=clock)
    first, second = contexts
    assert first.function_name == "legacy"
    assert first.invoked_function_arn == "arn:aws:lambda:us-east-1:000000000000:function:legacy"
    assert (first.function_version, first.memory_limit_in_mb) == ("$LATEST", "128")
    assert (first.log_group_name, first.log_stream_name) == ("/aws/lambda/legacy", "local")
    assert first.get_remaining_time_in_millis() == 3_000 - 2_000
    assert second.get_remaining_time_in_millis() == 3_000 - 1_000
    assert first.aws_request_id == second.aws_request_id, "an unchanged batch keeps its request id"
    assert [len(part) for part in first.aws_request_id.split("-")] == [8, 4, 4, 4, 12]


@pytest.mark.parametrize("number", [2**70 + 1, -(2**63) - 1, 2**53 + 1, 0.1, 1e300])
def test_a_number_in_the_state_of_a_window_is_carried_on_exactly(number: float) -> None:
    """Over answer, checkpoint and event; what 64 bits do not hold too."""
    given: list[Any] = []

    def handler(event: Any, context: Any) -> Any:
        given.append(event["state"].get("n"))
        return {"state": {"n": number}}

    app = App("shop")
    orders = app.table("orders", pk="id")
    app.function(handler, orders, id="sum", TumblingWindowInSeconds=60)
    with World(app, seed=1) as world:
        world.put(orders, {"id": "a"})
        world.settle()
        world.restart()
        world.put(orders, {"id": "b"})
        world.settle()
        world.advance("3m")
        world.settle()
    assert len(given) >= 3
    assert given[0] is None
    assert all(other == number and type(other) is type(number) for other in given[1:])


@pytest.mark.parametrize(("window", "exact"), [(None, False), (WindowInvoke(0, 60_000), True)])
def test_only_an_event_without_a_state_of_the_functions_own_is_read_the_fast_way(
    window: WindowInvoke | None, exact: bool
) -> None:
    asked: list[bool] = []

    class Runner:
        async def invoke(
            self, event: bytes, request_id: str, arn: str, trace: str = "", *, exact: bool = True
        ) -> bytes:
            asked.append(exact)
            return b"{}"

    app = App("shop")
    app.function(
        lambda event, context: None,
        app.table("orders", pk="id"),
        id="legacy",
        TumblingWindowInSeconds=60 if window else 0,
    )
    sink = LambdaSink(next(iter(app.mappings)), Runner(), "000000000000")
    asyncio.run(sink.write(replace(batch("abc"), window=window)))
    assert asked == [exact]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_answer_that_is_no_json_fails_the_batch(number: float) -> None:
    outcome = invoke(lambda event, context: {"n": number, "batchItemFailures": []})
    assert isinstance(outcome, Failed)
    assert outcome.whole is not None
    assert "is no JSON" in outcome.whole.error
