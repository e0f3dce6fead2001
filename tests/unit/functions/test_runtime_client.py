"""The contract of a function's process, checked against AWS's own runtime client (awslambdaric): the same
function, event and environment say the same.
"""

import asyncio
import json
import time
from typing import Any

import pytest

from tailrace.app.function_settings import CodePlace, FunctionSettings
from tailrace.functions.pool import FunctionError, ProcessRunner
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
