"""One command of `tailrace` that ends by itself, run in this process: for tests that read what it says.

To start Python and import what a command needs takes a hundred times as long as most answers.

Rules of this file: directory, environment, streams, logging, the modules that a command loads and what they
set in those of Tailrace are its own, as if it were a process. What goes on, is killed, signalled or measured,
or hangs on the start of a process, is one: `tests.fleet.Command`.
"""

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tailrace.cli.logs import QUIETED
from tailrace.cli.main import run
from tests.constants import constants, give_back


@contextlib.contextmanager
def logging_of_its_own() -> Iterator[None]:
    """What sets up logging in this block does not for what comes after it."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in QUIETED)]
    levels, handlers = [logger.level for logger in loggers], root.handlers[:]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _place_of_its_own(cwd: Path | None, environment: Mapping[str, str]) -> Iterator[None]:
    """A directory and an environment; an app that is loaded is forgotten again, for its file may change, and
    with it the bounds that it set.
    """
    before, path, stdin, bounds = dict(os.environ), list(sys.path), sys.stdin, constants()
    try:
        os.environ.update(environment)
        sys.stdin = io.StringIO()
        with contextlib.chdir(cwd or Path.cwd()):
            yield
    finally:
        sys.stdin = stdin
        give_back(bounds)
        if added := set(sys.path) - set(path):
            loaded = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
            for name in [name for name, file in loaded.items() if file and os.path.dirname(file) in added]:
                del sys.modules[name]
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(before)


def tailrace(
    *arguments: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command says, and its exit code; nobody answers its questions. `environment` is added to that
    of this process.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        _place_of_its_own(cwd, environment or {}),
        logging_of_its_own(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(arguments)
    said, errors = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, code, said, errors)
