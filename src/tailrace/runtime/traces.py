"""The traceback of a failure as it is kept, and where in it the user's code stands.

Rules of this file: what a library tells of its own inside (botocore raises over urllib3 over a socket) is cut
to the last cause: a user can do nothing about the rest. Called by sinks/calling.py, attempting.py and
failures.py.
"""

import re
from traceback import TracebackException
from types import TracebackType
from typing import Final

CHATTY: Final = frozenset(("aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3"))
"""Libraries whose errors say in their words what their chains say at length."""
OURS: Final = __file__.removesuffix("runtime/traces.py")
LIBRARY: Final = re.compile(r"/(?:site|dist)-packages/|/lib/python\d[\d.]*/")
FRAME: Final = re.compile(r'^ *File "([^"]+)", line (\d+), in ', re.MULTILINE)


def trace_of(error: BaseException, frames: TracebackType | None) -> str:
    """What Python would print of an error from these frames on, without what libraries did before it."""
    shown = TracebackException(type(error), error, frames)
    _cut(shown, error)
    return "".join(shown.format())


def _cut(shown: TracebackException, error: BaseException) -> None:
    waiting = [(shown, error)]
    while waiting:
        shown, error = waiting.pop()
        if _library(error) in CHATTY:
            shown.__cause__ = shown.__context__ = None
            shown.stack[:] = [frame for frame in shown.stack if not _is_chatty(frame.filename)]
        for below, cause in ((shown.__cause__, error.__cause__), (shown.__context__, error.__context__)):
            if below is not None and cause is not None:
                waiting.append((below, cause))


def _library(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _is_chatty(file: str) -> bool:
    return any(f"-packages/{name}/" in file for name in CHATTY)


def place_of(trace: str) -> str:
    """The last line of the user's own code in a traceback, `file:line`; of any code, when there is none of
    theirs; empty without frames.

    >>> theirs = 'File "/x/site-packages/smtp.py", line 3, in send'
    >>> place_of('File "/shop/app.py", line 12, in mail\\n  ' + theirs + '\\n')
    'app.py:12'
    """
    frames = FRAME.findall(trace)
    own = [(file, line) for file, line in frames if not LIBRARY.search(file) and not file.startswith(OURS)]
    if not frames:
        return ""
    file, line = (own or frames)[-1]
    return f"{file.rpartition('/')[2]}:{line}"
