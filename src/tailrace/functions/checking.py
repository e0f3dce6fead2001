"""Whether functions are there, in a process of its own: `python -m tailrace.functions.checking NAME…`.

Theory of operation: a user's module changes the process that imports it (logging, filters, threads,
environment), so the server imports none. A child imports them all, writes one line of JSON a name on what was
its standard output, and leaves without waiting for what the modules started.
Rules of this file: only what is surely not there is refused; a module that needs the environment of its
function, hangs or ends the child is tried again where it is called. The functions' own processes (process.py)
are the only others that import them. Called by cli/serve.py. Stands alone because it is the main module of a
process.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Final

import orjson

from tailrace.app.function_settings import function_named
from tailrace.errors import SettingsError

PATIENCE_S: Final = 120.0
"""A child that has not answered by then is ended: what it would have said is told by the first invocation."""


def missing(names: Sequence[str]) -> dict[str, str]:
    """What is wrong with those of these functions, "module:attribute", that are not there, in words."""
    paths = [entry or os.getcwd() for entry in sys.path if not entry.endswith(".zip")]
    child = subprocess.Popen(
        [sys.executable, "-m", "tailrace.functions.checking", *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    watchdog = threading.Timer(PATIENCE_S, child.kill)
    watchdog.start()
    printed, _ = child.communicate()
    watchdog.cancel()
    lines = [orjson.loads(line) for line in printed.splitlines() if line.endswith(b"]")]
    return {name: words for name, words in lines if words}


def main(names: Sequence[str]) -> None:
    """Import every function and say which is not there."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    for name in names:
        words = ""
        try:
            function_named(name)
        except SettingsError as error:
            words = str(error.args[0])
        except BaseException:  # its module ends the process while it is loaded: so it will where it is called
            words = ""
        answers.write(orjson.dumps([name, words]) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
