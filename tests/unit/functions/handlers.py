"""Functions as people write them, for processes of their own."""

import os
import sys
import threading
from decimal import Decimal
from typing import Any

CALLS = 0


def tally(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """How many records, how often this process was called, and who it is."""
    global CALLS
    CALLS += 1
    return {"records": len(event.get("Records", ())), "calls": CALLS, "pid": os.getpid()}


def tell(event: Any, context: Any) -> dict[str, Any]:
    """What Lambda tells a function."""
    names = (
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_REGION",
        "_HANDLER",
        "COLOUR",
        "TZ",
    )
    context.of_mine = "whoever wraps a handler may hang things on it"
    return {
        "remaining": context.get_remaining_time_in_millis(),
        "context": [
            context.function_name,
            context.function_version,
            context.aws_request_id,
            context.invoked_function_arn,
            context.memory_limit_in_mb,
            context.log_group_name,
            context.log_stream_name,
            context.client_context,
            context.tenant_id,
            context.identity.cognito_identity_id,
            context.identity.cognito_identity_pool_id,
            context.of_mine,
        ],
        "environment": {name: os.environ.get(name) for name in names},
    }


def prints(event: Any, context: Any) -> str:
    """What is printed is no answer."""
    print("hello from the function")
    os.write(1, b"raw\n")
    return "done"


def fails(event: Any, context: Any) -> None:
    """An error of the user's."""
    raise LookupError("no such country")


def hangs(event: Any, context: Any) -> None:
    """Longer than it may."""
    threading.Event().wait()


def hangs_and_says_who(event: Any, context: Any) -> None:
    """Longer than it may, in this process."""
    with open(os.environ["PID_FILE"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    threading.Event().wait()


def leaves(event: Any, context: Any) -> None:
    """The end of the process."""
    os._exit(3)


def dies(event: Any, context: Any) -> None:
    """A signal."""
    os.kill(os.getpid(), 9)


def exits(event: Any, context: Any) -> None:
    """What people write by mistake."""
    sys.exit(4)


def answers_a_set(event: Any, context: Any) -> set[int]:
    """Nothing that JSON has."""
    return {1}


def echoes(event: Any, context: Any) -> Any:
    """Answers its event."""
    return event


def answers_numbers(event: Any, context: Any) -> Any:
    """Numbers and letters that JSON writes in more ways than one."""
    return {"decimal": Decimal("1.5"), "none": None, "text": "ä\u2028", "nested": [{"a": True}], 1: "one"}


def fails_without_utf8(event: Any, context: Any) -> None:
    """An error whose words no UTF-8 can say."""
    raise LookupError("no such city: \ud800")
