"""`tailrace.connect(app, data)`: ask a data directory from Python as the command line does.

Rules of this file: beside a running server it speaks to its socket, otherwise it opens the directory for the
moment of the question. Stands alone because it is a public name of the package, and no command.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.cli.connection import answers

if TYPE_CHECKING:
    from tailrace.app.app import App


def connect(app: "App", data: Path | str = ".tailrace") -> None:
    """Let `app.dlq` and what follows it ask this data directory. Raises: nothing; the first question may."""
    directory = Path(data)
    app.bind(lambda verb, arguments: answers(directory, verb, arguments, is_nested=True))
