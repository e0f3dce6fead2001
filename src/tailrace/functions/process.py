"""The program of a function's process: `python -m tailrace.functions.process MODULE ATTRIBUTE [FILE]`.

Theory of operation: it reads frames from its standard input and answers on what was its standard output;
whatever the function prints goes to standard error instead. The function is imported at the first frame, so
that what is wrong with it is an answer; that it is loaded is told before the first answer, because its
time-out begins then. At the end of the input, which is also the death of the node, it ends, also while the
function is at work.
Rules of this file: errors have the types and words of Lambda's Python runtime. Started by pool.py. Source:
awslambdaric's behaviour.
"""

import importlib
import importlib.util
import json
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Final

from tailrace.clocks.system import SystemClock
from tailrace.functions.frames import LENGTHS, LOADED, Frame, decode
from tailrace.functions.printing import memory_mb, printed_to
from tailrace.sinks.lambda_function import LambdaContext, MarshalError, marshalled, unmarshalled

Handler = Callable[[Any, LambdaContext], Any]
CLOCK: Final = SystemClock()
LAST_S: Final = 1.0
"""What a function that is at work when its node ends may still take."""
CLIENT: Final = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class InitError(Exception):
    """The function cannot be loaded. Shape: `kind` is Lambda's errorType."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def main(arguments: list[str]) -> int:
    """Answer frames until the input ends."""
    module, attribute, *place = arguments
    answers = begun()
    handler: Handler | None = None
    while (frame := read(sys.stdin.buffer)) is not None:
        file = frame.head.get("log")
        with printed_to(file):
            try:
                if handler is None:
                    handler = load(module, attribute, *place)
                    answers.write(LOADED.encode())
            except InitError as error:
                answer = failed(error.kind, str(error))
            except Exception as error:  # its module raises while it is loaded: that is an answer too
                answer = raised(error)
            else:
                answer = answered(handler, frame)
        sys.stdout.flush()
        if file is not None:
            answer.head["memory_mb"] = memory_mb()
        answers.write(answer.encode())
    return 0


def begun() -> BinaryIO:
    """Begin to live as a function's process: it ends with its node, and what is printed goes to standard
    error. Returns: where answers go.
    """
    end_with_node(0)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def end_with_node(pipe: int) -> None:
    """End this process soon after the other side of its input is closed, whatever the function is doing:
    no process reads its answer.
    """

    def watch() -> None:
        poll = select.poll()
        poll.register(pipe, 0)  # a pipe without a writer is reported unasked; its bytes are read elsewhere
        while not any(
            event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll()
        ):
            pass
        threading.Event().wait(LAST_S)  # one that idles ends by itself, and in order
        os._exit(1)

    threading.Thread(target=watch, name="tailrace node", daemon=True).start()


def answered(handler: Handler, frame: Frame) -> Frame:
    """What the function answers to an event; whatever it raises is its answer."""
    try:
        event = unmarshalled(frame.body, exact=frame.head.get("exact", True))
        return Frame({"ok": True}, marshalled(handler(event, context_of(frame.head))))
    except MarshalError as error:
        return failed("Runtime.MarshalError", str(error))
    except Exception as error:  # whatever the function raises is its answer
        return raised(error)


def raised(error: Exception) -> Frame:
    """An exception of the user's code, without our own frame."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
    error.__traceback__ = None  # one that is raised again and again has no longer trace each time
    return failed(type(error).__name__, str(error), [line.rstrip("\n") for line in lines])


def read(stream: BinaryIO) -> Frame | None:
    """The next frame; None at the end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return decode(stream.read(head), stream.read(body))


def load(module: str, attribute: str, file: str = "") -> Handler:
    """The function. Raises: InitError in the words of Lambda's runtime."""
    try:
        loaded = _imported(module, file)
    except SyntaxError as error:
        raise InitError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}"
        ) from error
    except ImportError as error:
        raise InitError(
            "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
        ) from error
    resolved: Any = loaded
    for part in attribute.split("."):
        resolved = getattr(resolved, part, None)
    if not callable(resolved):
        raise InitError("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module}'")
    handler: Handler = resolved
    return handler


def _imported(module: str, file: str) -> Any:
    if file:
        sys.path.insert(0, str(Path(file).parent))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not file or error.name != module:
            raise
    spec = importlib.util.spec_from_file_location(module, file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def context_of(head: dict[str, Any]) -> LambdaContext:
    """The context of one invocation; its time runs from now on."""
    os.environ["_X_AMZN_TRACE_ID"] = head.get(
        "trace", ""
    )  # every AWS SDK sends it with its requests, as in Lambda
    deadline_ms = CLOCK.now().monotonic_ms + int(head["timeout_ms"])
    return LambdaContext(
        os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        head["request_id"],
        head["arn"],
        lambda: max(0, deadline_ms - CLOCK.now().monotonic_ms),
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        client_context=client_context_of(head.get("client")),
    )


def client_context_of(members: dict[str, Any] | None) -> SimpleNamespace | None:
    """What a caller said of itself, as the context shows it. Source: Lambda Developer Guide, "context object
    in Python".
    """
    if members is None:
        return None
    client = members.get("client")
    shown = (
        SimpleNamespace(**{name: client.get(name) for name in CLIENT}) if isinstance(client, dict) else None
    )
    return SimpleNamespace(client=shown, custom=members.get("custom"), env=members.get("env"))


def failed(kind: str, message: str, trace: list[str] | None = None) -> Frame:
    """A failed invocation, as Lambda words it."""
    document = {"errorType": kind, "errorMessage": message, "stackTrace": trace or []}
    return Frame({"ok": False}, json.dumps(document).encode())  # also words that have no UTF-8


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
