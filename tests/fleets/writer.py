"""`python -m tests.fleets.writer PORT_FILE NOTES STOP`: the client that writes while a fleet is disturbed.

Rules of this file: as tests/crash/writer.py, with more counters, so that shards that have split have some,
too. Nothing is imported of tailrace.
"""

import sys
from typing import Final

from tests.crash.writer import write_all

COUNTERS: Final = 64
CONNECTIONS: Final = 4
PAUSE_S: Final = 0.04
"""Between two writes of a connection: enough for all shards, and few enough for a busy machine."""
NAMES: Final = [f"counter-{number:03d}" for number in range(COUNTERS)]


def main(port_file: str, notes_file: str, stop_file: str) -> None:
    """Run all connections until the stop file appears."""
    counters = [NAMES[start::CONNECTIONS] for start in range(CONNECTIONS)]
    write_all(port_file, notes_file, stop_file, counters, PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
