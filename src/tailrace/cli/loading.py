"""Loading an app that a command names, and saying where its code is at fault.

Rules of this file: whatever the user's code raises while it is imported becomes one message with its line.
Called by `dev`, `worker` and the commands that ask a fleet.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tailrace.cli.failures import CommandFailure
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.app.app import App

_NOT_THEIRS: Final = (os.path.dirname(os.__file__), str(Path(__file__).parents[1]))


def load(app: str) -> "App":
    """The app behind a path or a name. Raises: CommandFailure that names the line at fault."""
    from tailrace.app.loading import load_app
    from tailrace.runtime.causing import trace_clients

    trace_clients()  # before the app makes clients of its own
    try:
        return load_app(app)
    except TailraceError as error:
        raise CommandFailure(
            f"{error.args[0]}{place_of(error, str(error.args[0]))}",
            hint=error.hint or f"mend it, then: tailrace dev {app}",
        ) from error
    except (Exception, SystemExit) as error:  # the user's own code may raise anything while it is imported
        raise CommandFailure(f"{app} cannot be loaded: {described(error)}", hint=f"python {app}") from error


def described(error: BaseException) -> str:
    """The kind, the words and the place of an exception that the user's code raised."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error}{place_of(error)}"


def place_of(error: BaseException, text: str = "") -> str:
    """Where the user's code stood, in brackets; nothing when `text` has it already, or it was ours."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(("<", *_NOT_THEIRS)):
            place = f" ({file}:{trace.tb_lineno})"
            if f"{os.path.basename(file)}:{trace.tb_lineno}" in text:
                place = ""
        trace = trace.tb_next
    return place
