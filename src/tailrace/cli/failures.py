"""How a command fails: one message that names the thing, the reason and the next command; never a traceback.

Rules of this file: exit code 2 for wrong usage, 1 for a failure, 3 for an end that left something, 130 after
Ctrl-C, 141 in silence when nobody reads the output any more. With --json the message is one JSON object on
standard error. An unexpected exception goes into a file; TAILRACE_TRACEBACK=1 shows it instead. Called by
`main` alone.
"""

import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

import click

from tailrace.errors import TailraceError

USAGE: Final = 2
FAILURE: Final = 1
UNDRAINED: Final = 3
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
LOGGED: Final = frozenset(("worker", "dev", "serve"))
"""Commands that run for long."""


class CommandFailure(TailraceError):
    """The command could not do what was asked."""


class PipeFailure(CommandFailure):
    """Another process has gone that the command needed."""


class OutputClosed(Exception):
    """Who reads our output has gone, as `head` does when it has enough."""


def is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # it is no file, as in tests
        return False
    if not hasattr(select, "poll"):  # Windows has none: what has broken is taken for the output
        return True
    looking = select.poll()
    looking.register(number, 0)
    return any(event & select.POLLERR for _, event in looking.poll(0))


@contextmanager
def output() -> Iterator[None]:
    """Tell a closed output, which is no failure, from other pipes that break: click ends with 1 for all.
    Raises: OutputClosed.
    """
    try:
        yield
    except BrokenPipeError as error:
        if not any(map(is_closed, (sys.stdout, sys.stderr))):
            raise PipeFailure(f"A connection was closed by its other end: {error}.") from error
        raise OutputClosed from error


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell the user, and return the exit code."""
    as_json, is_logged = "--json" in arguments, bool(LOGGED.intersection(arguments[:1]))
    match error:
        case click.UsageError():
            show(error.format_message(), usage_hint(error), as_json, is_logged)
            return USAGE
        case click.ClickException():
            show(error.format_message(), None, as_json, is_logged)
            return FAILURE
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED
        case OutputClosed():
            for stream in filter(is_closed, (sys.stdout, sys.stderr)):
                # Without this, the interpreter complains when it flushes.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            return BROKEN_PIPE
        case TailraceError():
            show(str(error.args[0]), error.hint or help_of(arguments), as_json, is_logged)
            return FAILURE
    unexpected(error, as_json)
    return FAILURE


def show(message: str, hint: str | None, as_json: bool, is_logged: bool = False) -> None:
    """One message on standard error, without secrets; without accounts and keys too where it goes to a log
    that others read.
    """
    from tailrace.runtime.masking import hidden, masked  # not at every start of a command

    said = masked if is_logged else hidden
    message, hint = said(message), None if hint is None else said(hint)
    if as_json:
        click.echo(json.dumps({"error": {"message": message, "hint": hint}}), err=True)
        return
    colour = coloured()
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True, color=colour)
    if hint:
        click.echo(f"  {click.style('next:', fg='cyan')} {hint}", err=True, color=colour)


def coloured() -> bool | None:
    """False where the user wants no colours (https://no-color.org); None: a terminal has them."""
    return False if os.environ.get("NO_COLOR") else None


def usage_hint(error: click.UsageError) -> str:
    """What to type after a wrong command line."""
    return f"{error.ctx.command_path if error.ctx else 'tailrace'} --help"


def help_of(arguments: Sequence[str]) -> str:
    """What to type when the error has no hint of its own: the help of the command that was typed."""
    words = [argument for argument in arguments[:1] if not argument.startswith("-")]
    return " ".join(["tailrace", *words, "--help"])


def unexpected(error: BaseException, as_json: bool) -> None:
    """A fault of ours: short words for the user, the trace in a file, which is sent to others and so is
    masked.
    """
    # Imported here: they cost more than the rest of the command line together, and this hardly ever happens.
    import tempfile
    import traceback

    from tailrace.runtime.masking import masked

    trace = masked("".join(traceback.format_exception(error)))
    if os.environ.get("TAILRACE_TRACEBACK") == "1":
        sys.stderr.write(trace)
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="tailrace-error-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write(trace)
    words = masked(f"{type(error).__name__}: {error}")
    show(
        f"This should not have happened: {words}. The trace is in {log.name}.",
        "report it with that file, or repeat the command with TAILRACE_TRACEBACK=1",
        as_json,
        True,
    )
