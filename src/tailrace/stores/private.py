"""Who may read the files of a data directory: its owner alone, whatever the umask and the process that made
them.

Rules of this file: permissions only. Called by `directory` and `sqlite`; what SQLite makes beside its file
has that file's permissions.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

MODE: Final = 0o600
OTHERS: Final = 0o077


def keep_private(file: Path, *, make: bool = False) -> None:
    """Leave a file that only its owner may read and write; `make` it when it is not there. One that cannot be
    changed stays as it is.

    A file that is there is never opened: closing it would drop the locks that SQLite holds on it for this
    whole process.
    """
    with suppress(OSError):  # the next one that opens it says what is wrong
        if make and not file.exists():
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
        if file.stat().st_mode & 0o777 != MODE:
            file.chmod(MODE)


def exposure(directory: Path) -> str | None:
    """What others than its owner may do with a directory, in words; None: nothing."""
    mode = directory.stat().st_mode & 0o777
    if not mode & OTHERS:
        return None
    return (
        f"the data directory {directory} has mode {mode:04o}, so others than its owner can see or change "
        "what is in it"
    )
