"""The log of one invocation as Lambda writes it: START, what the function printed, its error, END, REPORT.

Rules of this file: pure; values in, text out; the last 4 KB are what a caller is answered. Called by
api/lambdas/invoke.py. Source: Lambda Developer Guide, "Lambda function logs in Python"; AWS API Reference,
Invoke (LogType). Stands alone because it is pure.

>>> print(log_of("r-1", b"hello\\n", 12, 128, 31).decode().replace(chr(9), " | "))
START RequestId: r-1 Version: $LATEST
hello
END RequestId: r-1
REPORT RequestId: r-1 | Duration: 12.00 ms | Billed Duration: 12 ms | Memory Size: 128 MB | Max Memory Used:
31 MB
<BLANKLINE>
"""

from collections.abc import Mapping
from typing import Any, Final

KEPT: Final = 4_096
"""Units: bytes."""


def log_of(
    request_id: str,
    printed: bytes,
    took_ms: int,
    memory_size_mb: int,
    memory_mb: int,
    error: Mapping[str, Any] | None = None,
) -> bytes:
    """The end of the log. Shape: `error` is the function's error as it is answered; memory_mb 0: unknown."""
    report = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {took_ms:.2f} ms",
        f"Billed Duration: {max(1, took_ms)} ms",
        f"Memory Size: {memory_size_mb} MB",
        *([f"Max Memory Used: {memory_mb} MB"] if memory_mb else []),
    ]
    parts = [f"START RequestId: {request_id} Version: $LATEST\n".encode(), printed]
    if printed and not printed.endswith(b"\n"):
        parts.append(b"\n")
    if error is not None:
        parts.append(_error(error).encode())
    parts.append(f"END RequestId: {request_id}\n{chr(9).join(report)}\n".encode())
    return b"".join(parts)[-KEPT:]


def _error(error: Mapping[str, Any]) -> str:
    if error["errorType"] == "Sandbox.Timedout":
        return f"{error['errorMessage']}\n"
    trace = error.get("stackTrace") or ()
    lines = ["Traceback (most recent call last):", *(str(line) for line in trace)] if trace else []
    return "\n".join((f"[ERROR] {error['errorType']}: {error['errorMessage']}", *lines, ""))
