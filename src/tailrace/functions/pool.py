"""The processes of one function: as many as invocations run at once, each killed at the function's time-out.

Theory of operation: an invocation takes an idle process or starts one, writes a frame and waits for the
answer. A process that does not answer in time is killed and gone; so is one that ends by itself. The time-out
runs from when the loaded function is called; a start has a bound of its own. What idles for long is ended. A
process ends with its standard input, so none outlives the node.
Rules of this file: nothing here retries; a failure is told in Lambda's words. Made by `compose`, called by
sinks/lambda_function.py.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import Any, Final

from tailrace.app.function_settings import CodePlace, FunctionSettings
from tailrace.errors import SettingsError, Unavailable
from tailrace.functions.frames import LENGTHS, Frame, decode
from tailrace.functions.printing import printing_to
from tailrace.sinks.calling import FailedElsewhere, TimedOut
from tailrace.sinks.lambda_function import Captured

IDLE_S: Final = 300.0
START_S: Final = 120.0
"""What starting a process and loading its function may take. Lambda gives its INIT phase 10 s on a machine of
its own; here many start at once.
"""
RUNTIME: Final = "TAILRACE_RUNTIME"
"""The environment variable that says what runs functions: `tailrace`, or AWS's own client, `awslambdaric`."""
RUNTIMES: Final = {
    "tailrace": "tailrace.functions.process",
    "awslambdaric": "tailrace.functions.runtime_api",
}
PAYLOAD_BYTES: Final = 6 << 20
"""An event and an answer. Source: semantics §2.4."""


class FunctionError(FailedElsewhere):
    """A function failed. Shape: its error as Lambda tells it."""

    def __init__(self, error_type: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(f"{error_type}: {message}", trace)
        self.error_type = error_type
        self.message = message


class SlowStart(Unavailable):
    """A function's process was not ready in time. Its handler was not called: no attempt is used."""

    error_type = "Sandbox.InitTimedout"


class ProcessRunner:
    """Runs one function in processes of its own."""

    def __init__(
        self, name: str, code: CodePlace, settings: FunctionSettings, region: str = "us-east-1"
    ) -> None:
        self._name = name
        self._code = code
        self._settings = settings
        self._region = region
        self._idle: list[tuple[float, Process]] = []
        self._busy: set[Process] = set()
        self._fresh: set[Process] = set()
        self._is_retired = False

    async def invoke(
        self,
        event: bytes,
        request_id: str,
        arn: str,
        trace: str = "",
        captured: Captured | None = None,
        client: Mapping[str, Any] | None = None,
        *,
        exact: bool = True,
    ) -> bytes:
        """The answer as JSON. Raises: FunctionError, TimedOut, SlowStart."""
        head = {
            "request_id": request_id,
            "arn": arn,
            "timeout_ms": self._settings.timeout_s * 1_000,
            "trace": trace,
            "client": client,
            "exact": exact,
        }
        if captured is None:
            return await self._invoke(head, event)
        with printing_to(captured) as file:
            return await self._invoke({**head, "log": file}, event, captured)

    async def _invoke(self, head: dict[str, Any], event: bytes, captured: Captured | None = None) -> bytes:
        request_id = head["request_id"]
        process = await self._idle_process()
        is_loading = process in self._fresh
        self._fresh.discard(process)
        try:
            async with asyncio.timeout(START_S if is_loading else self._settings.timeout_s) as limit:
                answer = await _exchange(process, Frame(head, event))
                if answer.head.get("loaded"):
                    is_loading = False
                    limit.reschedule(asyncio.get_running_loop().time() + self._settings.timeout_s)
                    answer = await _received(process)
        except TimeoutError:
            await self._kill(process)
            if is_loading:
                raise SlowStart(
                    f"RequestId: {request_id} Error: the function {self._name} did not start within "
                    f"{START_S:g} s: "
                    f"its module {self._code.module} was still being loaded (Lambda's INIT phase)"
                ) from None
            raise TimedOut(
                f"RequestId: {request_id} Error: Task timed out after {self._settings.timeout_s:.2f} seconds"
            ) from None
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError) as error:
            code = await self._ended(process)
            raise FunctionError(
                "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited{code}"
            ) from error
        except BaseException:  # cancelled: its answer must not go to another invocation
            process.kill()
            self._busy.discard(process)
            raise
        self._give_back(process)
        if captured is not None:
            captured.memory_mb = answer.head.get("memory_mb", 0)
        return _answer(answer)

    def retire(self) -> None:
        """End every process, one that is busy when it has answered. Nothing more is invoked."""
        self._is_retired = True
        for _, process in self._idle:
            _end(process)
        self._idle.clear()

    async def close(self) -> None:
        """End every process."""
        every = [process for _, process in self._idle] + list(self._busy)
        self._idle.clear()
        self._busy.clear()
        for process in every:
            _end(process)
        for process in every:
            try:
                async with asyncio.timeout(1):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    # ---- processes -----------------------------------------------------------------------------------------

    async def _idle_process(self) -> Process:
        while self._idle:
            _, process = self._idle.pop()
            if process.returncode is None:
                self._busy.add(process)
                return process
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            RUNTIMES[_runtime()],
            self._code.module,
            self._code.attribute,
            self._code.file,
            stdin=PIPE,
            stdout=PIPE,
            env=self.environment(),
            limit=PAYLOAD_BYTES,
        )
        self._busy.add(process)
        self._fresh.add(process)
        return process

    def environment(self) -> dict[str, str]:
        """The environment of a process: ours, Lambda's, and the function's own variables."""
        paths = [entry or os.getcwd() for entry in sys.path if not entry.endswith(".zip")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._settings.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "TZ": ":UTC",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "LAMBDA_TASK_ROOT": os.path.dirname(self._code.file) or os.getcwd(),
            "_HANDLER": f"{self._code.module}.{self._code.attribute}",
            **self._settings.variables,
        }

    def _give_back(self, process: Process) -> None:
        now = asyncio.get_running_loop().time()
        self._busy.discard(process)
        if self._is_retired:
            _end(process)
            return
        self._idle.append((now, process))
        while self._idle and now - self._idle[0][0] > IDLE_S:
            _end(self._idle.pop(0)[1])

    async def _kill(self, process: Process) -> None:
        self._busy.discard(process)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _ended(self, process: Process) -> str:
        self._busy.discard(process)
        if process.stdin is not None:
            process.stdin.close()
        code = await process.wait()
        if code < 0:
            return f" with error: signal: {-code}"
        return f" with error: exit status {code}" if code else " without providing a reason"


def _runtime() -> str:
    """What runs functions. Raises: SettingsError."""
    said = os.environ.get(RUNTIME) or "tailrace"
    if said not in RUNTIMES:
        raise SettingsError(f"{RUNTIME}: {said!r} is not allowed; it is {' or '.join(RUNTIMES)}")
    return said


def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


async def _exchange(process: Process, frame: Frame) -> Frame:
    assert process.stdin is not None
    process.stdin.write(frame.encode())
    await process.stdin.drain()
    return await _received(process)


async def _received(process: Process) -> Frame:
    assert process.stdout is not None
    head, body = LENGTHS.unpack(await process.stdout.readexactly(LENGTHS.size))
    return decode(await process.stdout.readexactly(head), await process.stdout.readexactly(body))


def _answer(answer: Frame) -> bytes:
    if len(answer.body) > PAYLOAD_BYTES:
        raise FunctionError(
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES} bytes).",
        )
    if answer.head["ok"]:
        return answer.body
    error: dict[str, Any] = json.loads(answer.body)
    raise FunctionError(error["errorType"], error["errorMessage"], tuple(error["stackTrace"]))
