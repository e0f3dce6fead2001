"""`python -m tests.fleets.writer PORT_FILE NOTES STOP`: the client that writes while a fleet is disturbed.

Rules of this file: as tests/crash/writer.py, with more counters, so that shards that have split have some,
too. Nothing is imported of tailrace.
"""

import os
import sys
import threading
from typing import Final

from tests.crash.writer import work

COUNTERS: Final = 64
CONNECTIONS: Final = 4
PAUSE_S: Final = 0.04
"""Between two writes of a connection: enough for all shards, and few enough for a busy machine."""
NAMES: Final = [f"counter-{number:03d}" for number in range(COUNTERS)]


def main(port_file: str, notes_file: str, stop_file: str) -> None:
    """Run all connections until the stop file appears."""
    notes = os.open(notes_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    threads = [
        threading.Thread(target=work, args=(port_file, notes, stop_file, NAMES[start::CONNECTIONS], PAUSE_S))
        for start in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(notes)


if __name__ == "__main__":
    main(*sys.argv[1:])
