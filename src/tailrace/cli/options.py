"""Options that several commands share, so that they mean the same everywhere.

Rules of this file: declarations only.
"""

from pathlib import Path
from typing import Any, Final

import click

DEFAULT_DATA: Final = Path(".tailrace")

data = click.option(
    "--data",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    show_default="./.tailrace",
    help="The data directory.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output only.")
log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on standard error is written.",
)


def options(*declared: Any) -> Any:
    """Apply several options, shown by --help in this order."""

    def apply(function: Any) -> Any:
        for option in reversed(declared):
            function = option(function)
        return function

    return apply
