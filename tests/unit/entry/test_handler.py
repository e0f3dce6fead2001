"""The functions that Lambda calls: what they need of the environment, what they answer, what they refuse."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning
from tailrace.entry.handler import BatchFailed, LambdaEntry
from tailrace.errors import SettingsError
from tailrace.sinks.lambda_function import LambdaContext
from tests.started.tests_stay_on_loopback import python_path
from tests.unit.entry.invoking import ARN, DONE, Script, TablesInMemory, event_of, identifier, shop

CONTEXT = LambdaContext("audit", "r-1", "arn:aws:lambda:us-east-1:123456789012:function:audit", lambda: 4_000)


def test_an_app_is_called_by_its_names() -> None:
    script = Script()
    app = shop(script)
    assert app.lambda_handler(event_of("a", "b"), CONTEXT) == DONE
    assert app.lambda_handler(event_of("a", first=3)) == DONE
    assert script.handled == [1, 2, 3]
    assert app.lambda_handler is app.lambda_handler


def test_a_call_from_a_running_loop_is_answered_too() -> None:
    script = Script()
    app = shop(script)

    async def main() -> Any:
        return app.lambda_handler(event_of("a"), CONTEXT)

    assert asyncio.run(main()) == DONE


def test_without_a_state_table_the_first_call_says_what_that_means(caplog: pytest.LogCaptureFixture) -> None:
    entry = LambdaEntry(shop(Script()), environment={})
    for _ in range(2):
        entry.handler(event_of("a"))
    said = [line.getMessage() for line in caplog.records if "no state table" in line.getMessage()]
    assert len(said) == 1
    assert "TAILRACE_STATE" in said[0]


def test_a_failure_is_answered_as_the_item_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    entry = LambdaEntry(shop(Script([2]), retry=_at_once()), environment={})
    assert entry.handler(event_of("a", "b"), CONTEXT) == identifier(2)
    (said,) = [line for line in caplog.records if "is left to Lambda from" in line.getMessage()]
    assert said.levelno == logging.ERROR
    assert "no such number: 2" in said.getMessage()


def _at_once() -> Any:
    from tailrace.app.retry import Retry

    return Retry(0)


@pytest.mark.parametrize(("said", "is_read"), [("yes", True), ("no", False)])
def test_the_environment_may_say_whether_failures_are_read(said: str, is_read: bool) -> None:
    entry = LambdaEntry(shop(Script([1]), retry=_at_once()), environment={"TAILRACE_PARTIAL_RESPONSES": said})
    if is_read:
        assert entry.handler(event_of("a"), CONTEXT) == identifier(1)
        return
    with pytest.raises(BatchFailed, match="ReportBatchItemFailures"):
        entry.handler(event_of("a"), CONTEXT)


def test_a_word_that_is_neither_is_refused() -> None:
    entry = LambdaEntry(
        shop(Script([1]), retry=_at_once()), environment={"TAILRACE_PARTIAL_RESPONSES": "maybe"}
    )
    with pytest.raises(SettingsError, match="it is yes or no"):
        entry.handler(event_of("a"), CONTEXT)


REPORTING: dict[str, Any] = {"EventSourceMappings": [{"FunctionResponseTypes": ["ReportBatchItemFailures"]}]}
SILENT: dict[str, Any] = {
    "EventSourceMappings": [*REPORTING["EventSourceMappings"], {"FunctionResponseTypes": []}]
}
DENIED = AwsError("lambda", ErrorMeaning(Meaning.REFUSED), "AccessDeniedException", "not allowed")


@pytest.mark.parametrize(
    ("answer", "is_read"),
    [(REPORTING, True), (SILENT, False), ({"EventSourceMappings": []}, True), (DENIED, False)],
)
def test_on_lambda_the_mapping_is_asked_before_the_first_failure_is_answered(
    answer: Any, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def call(access: Any, service: str, operation: str, parameters: Any) -> Any:
        asked.append((service, operation, dict(parameters)))
        if isinstance(answer, AwsError):
            raise answer
        return answer

    monkeypatch.setattr("tailrace.aws.client.call", call)
    entry = LambdaEntry(
        shop(Script([1]), retry=_at_once()), environment={"AWS_LAMBDA_FUNCTION_NAME": "audit"}
    )
    assert entry.handler(event_of("b", first=5), CONTEXT) == DONE
    assert asked == []
    for _ in range(2):
        if is_read:
            assert entry.handler(event_of("a"), CONTEXT) == identifier(1)
        else:
            with pytest.raises(BatchFailed):
                entry.handler(event_of("a"), CONTEXT)
    what = (
        "lambda",
        "list_event_source_mappings",
        {"FunctionName": CONTEXT.invoked_function_arn, "EventSourceArn": ARN},
    )
    assert asked == [what] * (2 if answer is DENIED else 1)  # what Lambda did not say is asked again


def test_a_pipe_reads_failures_without_being_asked() -> None:
    environment = {"AWS_LAMBDA_FUNCTION_NAME": "audit"}
    entry = LambdaEntry(shop(Script([1]), retry=_at_once()), environment=environment)
    assert entry.handler(event_of("a")["Records"], CONTEXT) == identifier(1)


def test_the_redriver_puts_back_what_the_handler_has_parked() -> None:
    script, state = Script({1: 1}), TablesInMemory()
    entry = LambdaEntry(shop(script, retry=_at_once()), state, environment={})
    assert entry.handler(event_of("a", "a"), CONTEXT) == DONE
    assert script.handled == []
    said = entry.redriver({"time": "now"}, CONTEXT)
    assert (said["is_over"], said["handlers"]["audit"]["done"]) == (True, 2)
    assert script.handled == [1, 2]


def test_the_redriver_needs_a_state_table() -> None:
    with pytest.raises(SettingsError, match="TAILRACE_STATE=dynamodb:TABLE"):
        LambdaEntry(shop(Script()), environment={}).redriver({}, CONTEXT)


@pytest.mark.parametrize("target", ["postgres://x", "dynamodb:", "state"])
def test_a_state_that_is_no_table_of_dynamodb_is_refused(target: str) -> None:
    entry = LambdaEntry(shop(Script()), environment={"TAILRACE_STATE": target})
    with pytest.raises(SettingsError, match="on Lambda it is dynamodb:TABLE"):
        entry.handler(event_of("a"), CONTEXT)


def test_the_app_may_name_the_state_table_and_the_environment_wins() -> None:
    app = shop(Script())
    app.lambda_state = "nonsense"
    with pytest.raises(SettingsError, match="'nonsense'"):
        LambdaEntry(app, environment={}).handler(event_of("a"))
    with pytest.raises(SettingsError, match="'more'"):
        LambdaEntry(app, environment={"TAILRACE_STATE": "more"}).handler(event_of("a"))


def test_what_is_wrong_with_the_app_is_an_answer_of_each_invocation() -> None:
    app = App("shop")
    app.on(app.table("orders", pk="id"), once=True)(lambda change: None)
    entry = LambdaEntry(app, environment={})
    for _ in range(2):
        with pytest.raises(SettingsError, match="cannot run on Lambda as it is"):
            entry.handler(event_of("a"))


def test_what_a_handler_writes_descends_from_whoever_the_invocation_does() -> None:
    app, seen = App("shop"), []
    orders = app.table("orders", pk="id")
    app.on(orders, id="audit")(lambda change: seen.append(change.record.ancestry))
    trace = "Root=1-6553f100-3f2504e04f8911d39a0c0305;Sampled=0;Tailrace=receipt:3"
    LambdaEntry(app, environment={"_X_AMZN_TRACE_ID": trace}).handler(event_of("a"))
    assert seen == ["receipt:3"]


HEAVY = (
    "aiohttp",
    "botocore",
    "boto3",
    "sqlite3",
    "tailrace.server",
    "tailrace.engine",
    "tailrace.api",
    "tailrace.worker",
    "duckdb",
)


@pytest.mark.parametrize("on_lambda", [True, False])
def test_the_entry_loads_nothing_that_a_batch_does_not_need(on_lambda: bool, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from tailrace import App\napp = App('shop')\norders = app.table('orders', pk='id')\n"
        "@app.on(orders)\ndef audit(change): ...\nhandler = app.lambda_handler\n"
    )
    environment = {**os.environ, "PYTHONPATH": python_path(tmp_path)} | (
        {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"} if on_lambda else {}
    )
    script = (
        f"import sys, shop; print([name for name in {HEAVY!r} if name in sys.modules], "
        "'tailrace.entry.handler' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == f"[] {on_lambda}"
