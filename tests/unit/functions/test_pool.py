"""Functions in processes of their own: answers, errors in Lambda's words, time-outs, deaths,
and nothing left behind.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailrace.app.function_settings import CodePlace, FunctionSettings, place_of_code
from tailrace.functions import pool
from tailrace.functions.pool import FunctionError, ProcessRunner, SlowStart
from tailrace.ports import FailureKind
from tailrace.sinks.calling import TimedOut, failure_of
from tests.patience import PATIENCE_S, until
from tests.unit.functions import handlers

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
Use = Callable[[ProcessRunner], Awaitable[Any]]


def using(
    function: Callable[..., Any] | CodePlace, use: Use, settings: FunctionSettings | None = None
) -> Any:
    """Run with a runner of a function, and end its processes."""
    code = function if isinstance(function, CodePlace) else place_of_code(function)
    assert code is not None

    async def main() -> Any:
        runner = ProcessRunner("f", code, settings or FunctionSettings())
        try:
            return await use(runner)
        finally:
            await runner.close()

    return asyncio.run(main())


def invoked(
    function: Callable[..., Any] | CodePlace, event: Any = None, settings: FunctionSettings | None = None
) -> Any:
    """One answer."""

    async def use(runner: ProcessRunner) -> Any:
        return json.loads(await runner.invoke(json.dumps(event or {}).encode(), "request-1", ARN))

    return using(function, use, settings)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_is_used_again_and_ended_at_the_close() -> None:
    async def twice(runner: ProcessRunner) -> list[dict[str, int]]:
        return [json.loads(await runner.invoke(b'{"Records": [1, 2]}', "r", ARN)) for _ in range(2)]

    first, second = using(handlers.tally, twice)
    assert (first["records"], first["calls"], second["calls"]) == (2, 1, 2)
    assert first["pid"] == second["pid"] != os.getpid()
    assert not is_alive(first["pid"])


def test_invocations_at_the_same_time_have_a_process_each() -> None:
    async def together(runner: ProcessRunner) -> list[Any]:
        return [
            json.loads(answer)
            for answer in await asyncio.gather(*(runner.invoke(b"{}", "r", ARN) for _ in range(3)))
        ]

    answers = using(handlers.tally, together)
    assert len({answer["pid"] for answer in answers}) == 3


def test_a_function_sees_every_digit_of_a_number() -> None:
    event = b'{"n": 1180591620717411303425, "m": -9223372036854775809, "f": 0.1}'

    async def once(runner: ProcessRunner) -> bytes:
        return await runner.invoke(event, "r", ARN)

    assert using(handlers.echoes, once) == event


def test_an_event_that_is_said_to_have_no_long_number_is_read_the_fast_way() -> None:
    async def once(runner: ProcessRunner) -> bytes:
        return await runner.invoke(b'{"n": 1180591620717411303425, "m": 9}', "r", ARN, exact=False)

    assert json.loads(using(handlers.echoes, once)) == {"n": 1180591620717411303424.0, "m": 9}


def test_context_and_environment_are_lambdas() -> None:
    told = invoked(handlers.tell, settings=FunctionSettings(10, 512, {"COLOUR": "blue"}))
    assert 0 < told["remaining"] <= 10_000
    assert told["context"] == [
        "f",
        "$LATEST",
        "request-1",
        ARN,
        "512",
        "/aws/lambda/f",
        "local",
        *[None] * 4,
        "whoever wraps a handler may hang things on it",
    ]
    assert told["environment"] == {
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_REGION": "us-east-1",
        "_HANDLER": "tests.unit.functions.handlers.tell",
        "COLOUR": "blue",
        "TZ": ":UTC",
    }


def test_what_a_function_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert invoked(handlers.prints) == "done"
    assert "hello from the function" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("function", "error_type", "words"),
    [
        (handlers.fails, "LookupError", "no such country"),
        (handlers.fails_without_utf8, "LookupError", "no such city: \ud800"),
        (handlers.answers_a_set, "Runtime.MarshalError",
         "Unable to marshal response: Object of type set is not JSON serializable"),
        (handlers.leaves, "Runtime.ExitError",
         "RequestId: request-1 Error: Runtime exited with error: exit status 3"),
        (handlers.exits, "Runtime.ExitError",
         "RequestId: request-1 Error: Runtime exited with error: exit status 4"),
        (handlers.dies, "Runtime.ExitError",
         "RequestId: request-1 Error: Runtime exited with error: signal: 9"),
        (CodePlace("tests.unit.functions.handlers", "nothing"), "Runtime.HandlerNotFound",
         "Handler 'nothing' missing on module 'tests.unit.functions.handlers'"),
        (CodePlace("no_such_module", "f"), "Runtime.ImportModuleError",
         "Unable to import module 'no_such_module': No module named 'no_such_module'"),
    ],
)  # fmt: skip
def test_failures_have_lambdas_types_and_words(
    function: Callable[..., Any] | CodePlace, error_type: str, words: str
) -> None:
    with pytest.raises(FunctionError) as caught:
        invoked(function)
    assert (caught.value.error_type, caught.value.message) == (error_type, words)


def test_an_error_has_the_users_lines_only() -> None:
    with pytest.raises(FunctionError) as caught:
        invoked(handlers.fails)
    (line,) = caught.value.trace
    assert "handlers.py" in line
    assert 'raise LookupError("no such country")' in line
    assert failure_of(caught.value).traceback == (
        f"Traceback (most recent call last):\n{line}\nLookupError: no such country\n"
    )


def test_a_function_that_hangs_is_killed_at_its_time_out_and_the_next_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "START_S", 3_600.0)  # however slow the machine is

    async def use(runner: ProcessRunner) -> None:
        for _ in range(2):
            with pytest.raises(TimedOut, match=r"RequestId: r Error: Task timed out after 1\.00 seconds"):
                await runner.invoke(b"{}", "r", ARN)

    using(handlers.hangs, use, FunctionSettings(1))


def test_loading_a_module_is_not_of_its_time() -> None:
    told = invoked(CodePlace("tests.unit.functions.slow_to_load", "remaining"), None, FunctionSettings(1))
    assert 0 < told <= 1_000


def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    async def use(runner: ProcessRunner) -> tuple[int, int]:
        first = json.loads(await runner.invoke(b"{}", "r", ARN))["pid"]
        os.kill(first, signal.SIGKILL)
        while runner._idle[0][1].returncode is None:
            await asyncio.sleep(0.01)
        return first, json.loads(await runner.invoke(b"{}", "r", ARN))["pid"]

    first, second = using(handlers.tally, use)
    assert first != second


def test_a_process_ends_with_whoever_started_it() -> None:
    import subprocess
    import sys

    program = (
        "import asyncio, json, os\n"
        "from tailrace.functions.pool import ProcessRunner\n"
        "from tailrace.app.function_settings import CodePlace, FunctionSettings\n"
        "async def main():\n"
        "    runner = ProcessRunner('f', CodePlace('tests.unit.functions.handlers', 'tally'), "
        "FunctionSettings())\n    print(json.loads(await runner.invoke(b'{}', 'r', 'arn'))['pid'], "
        "flush=True)\n    os.kill(os.getpid(), 9)\nasyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    pid = int(ran.stdout)
    until(lambda: is_alive(pid), False)


@pytest.mark.parametrize("function", [lambda event, context: None, print, "".join])
def test_what_no_other_process_can_find_has_no_place(function: Any) -> None:
    code = place_of_code(function)
    assert code is None or code.module == "builtins"


def test_a_slow_start_is_no_time_out_and_uses_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "START_S", 0.0)  # what a busy machine does to the bound

    async def use(runner: ProcessRunner) -> BaseException:
        with pytest.raises(SlowStart) as caught:
            await runner.invoke(b"{}", "r", ARN)
        monkeypatch.setattr(pool, "START_S", 3_600.0)
        assert json.loads(await runner.invoke(b'{"Records": []}', "r", ARN))["calls"] == 1
        return caught.value

    error = using(handlers.tally, use)
    failure = failure_of(error)
    assert failure.kind is FailureKind.UNAVAILABLE
    assert "timed out" not in failure.error
    assert "did not start within" in failure.error
    assert "tests.unit.functions.handlers" in failure.error
