"""The contract of a function's process, checked against AWS's own runtime client (awslambdaric): the same
function, event and environment say the same.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tailrace.app.function_settings import CodePlace, FunctionSettings
from tailrace.errors import SettingsError
from tailrace.functions.pool import FunctionError, ProcessRunner
from tailrace.sinks.calling import TimedOut
from tests.patience import eventually
from tests.unit.functions.runtime_api import ARN, by_the_runtime_client

pytest.importorskip("awslambdaric")
HANDLERS = "tests.unit.functions.handlers"
SETTINGS = FunctionSettings(10, 512, {"COLOUR": "blue"})
EVENT = b'{"Records": [{"eventName": "INSERT", "text": "\xc3\xa4", "size": 1.5}]}'


def by_us(module: str, attribute: str) -> tuple[str, Any]:
    async def main() -> tuple[str, Any]:
        runner = ProcessRunner("f", CodePlace(module, attribute), SETTINGS)
        try:
            return "response", json.loads(await runner.invoke(EVENT, "request-1", ARN))
        except FunctionError as error:
            return "error", {"errorType": error.error_type, "errorMessage": error.message}
        finally:
            await runner.close()

    return asyncio.run(main())


def by_aws(module: str, attribute: str) -> tuple[str, Any]:
    environment = ProcessRunner("f", CodePlace(module, attribute), SETTINGS).environment()
    deadline_ms = int(time.time() * 1_000) + SETTINGS.timeout_s * 1_000
    kind, said = by_the_runtime_client(f"{module}.{attribute}", EVENT, environment, deadline_ms)
    if kind == "error":
        said = {name: said[name] for name in ("errorType", "errorMessage")}
    return kind, said


def by_the_client_here(module: str, attribute: str) -> tuple[str, Any]:
    """The same client, on the Runtime API that a node serves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILRACE_RUNTIME", "awslambdaric")
        return by_us(module, attribute)


def invoked_behind_a_node(attribute: str, settings: FunctionSettings, calls: int = 1) -> list[Any]:
    """What the real client answers, call by call, in one process."""

    async def main() -> list[Any]:
        runner = ProcessRunner("f", CodePlace(HANDLERS, attribute), settings)
        try:
            return [json.loads(await runner.invoke(EVENT, "request-1", ARN)) for _ in range(calls)]
        finally:
            await runner.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILRACE_RUNTIME", "awslambdaric")
        return asyncio.run(main())


def test_one_client_serves_one_invocation_after_the_other() -> None:
    first, second = invoked_behind_a_node("tally", SETTINGS, 2)
    assert (first["calls"], second["calls"]) == (1, 2)
    assert first["pid"] == second["pid"]


def test_a_client_that_ends_is_the_end_of_its_process() -> None:
    with pytest.raises(FunctionError, match="exit status 3"):
        invoked_behind_a_node("leaves", SETTINGS)


def test_at_its_time_out_the_client_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(TimedOut, match=r"Task timed out after 1\.00 seconds"):
        invoked_behind_a_node("hangs_and_says_who", FunctionSettings(1, 128, {"PID_FILE": str(file)}))
    eventually(
        lambda: not (file.exists() and is_alive(int(file.read_text()))), lambda: "the client did not end"
    )


def is_alive(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_runtime_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_RUNTIME", "node")
    with pytest.raises(SettingsError, match="it is tailrace or awslambdaric"):
        by_us(HANDLERS, "echoes")


@pytest.mark.parametrize("attribute", ["echoes", "fails", "answers_a_set", "answers_numbers", "not_there"])
def test_the_real_client_says_the_same_behind_a_node(attribute: str) -> None:
    assert by_the_client_here(HANDLERS, attribute) == by_aws(HANDLERS, attribute)


@pytest.mark.parametrize("attribute", ["echoes", "fails", "answers_a_set", "answers_numbers", "not_there"])
def test_a_function_says_what_it_says_on_lambda(attribute: str) -> None:
    assert by_us(HANDLERS, attribute) == by_aws(HANDLERS, attribute)


def test_a_module_that_is_not_there_is_refused_with_lambdas_type() -> None:
    ours, aws = by_us("no_such_module", "handler"), by_aws("no_such_module", "handler")
    assert ours[1]["errorType"] == aws[1]["errorType"] == "Runtime.ImportModuleError"
    assert aws[1]["errorMessage"] == ours[1]["errorMessage"]


def test_context_and_environment_are_those_of_the_runtime_client() -> None:
    (_, ours), (_, aws) = by_us(HANDLERS, "tell"), by_aws(HANDLERS, "tell")
    ours_left, aws_left = ours.pop("remaining"), aws.pop("remaining")
    assert ours == aws
    assert 0 < aws_left <= 10_000
    assert 0 < ours_left <= 10_000
