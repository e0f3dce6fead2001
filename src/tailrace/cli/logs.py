"""The log on standard error: text for people, or one JSON object a line.

Rules of this file: the fields of a JSON line are `telemetry.LOG_FIELDS` and no others; a field arrives as
`extra=` of a logging call. Called once, by `serve`, `dev` and `worker`.
"""

import json
import logging
import os
import sys
from typing import Any, Final, Literal, TextIO

from tailrace.cli.durations import format_instant
from tailrace.runtime.masking import KEPT_SECRET, Masked, learn
from tailrace.telemetry import LOG_FIELDS

EXTRA: Final = tuple(name for name in LOG_FIELDS if name not in ("time", "level", "message", "trace"))

QUIETED: Final = ("asyncio", "botocore", "boto3", "urllib3")
"""Loggers of which nothing below a warning is shown."""


class JsonLines(logging.Formatter):
    """One JSON object a line; a trace is one member, never further lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line: dict[str, object] = {
            "time": format_instant(round(record.created * 1_000)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(fields_of(record))
        if trace := trace_of(self, record):
            line["trace"] = trace
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """`12:00:01 info  message  attempt=…`, with the fields that the message does not say; then what to do.

    The trace of a handler's failure stands under its line when everything is wanted; that of a fault of ours
    always does.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__()
        self._verbose = verbose

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        at = format_instant(round(record.created * 1_000))[11:19]
        message = record.getMessage()
        fields = {name: str(value) for name, value in fields_of(record).items()}
        hint = fields.pop("hint", "")
        extra = "".join(
            f"  {name}={text}" for name, text in fields.items() if name == "attempt" or text not in message
        )
        trace = trace_of(self, record) if self._verbose or record.exc_info else ""
        line = f"{at} {record.levelname.lower():7} {message}{extra}"
        return "\n".join([line, *([trace] if trace else []), *([f"  next: {hint}"] if hint else [])])


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record that say something."""
    return {name: value for name in EXTRA if (value := getattr(record, name, None)) is not None}


def trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The traceback of a record, given as an exception or as the text a handler left."""
    if record.exc_info and record.exc_info[0] is not None:
        return formatter.formatException(record.exc_info)
    return str(getattr(record, "trace", "") or "")


def set_up(
    log_format: Literal["text", "json"],
    stream: TextIO | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Send everything from INFO up to a stream (standard error), in that form, without accounts, keys and
    secrets. Repeatable: it replaces itself.
    """
    learn(*(os.environ.get(name) for name in KEPT_SECRET))
    handler = logging.StreamHandler(stream or sys.stderr)
    form = JsonLines() if log_format == "json" else TextLines(verbose=verbose)
    handler.setFormatter(Masked(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIETED:
        logging.getLogger(name).setLevel(logging.WARNING)
