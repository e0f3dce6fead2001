"""The program of a process that takes large requests apart: `python -m tailrace.server.taking_process`.

Rules of this file: frames in on the standard input, frames out on the standard output, one answer a question,
in order. At the end of the input, which is also the death of the node, it ends. Started by `server.takers`.
"""

import gc
import os
import sys
from typing import BinaryIO, Final

from tailrace.api.registry import find_operations
from tailrace.api.taking import take
from tailrace.server.frames import answer_parts, question_of, read_frame, write_frame

NICER: Final = 5
"""Small requests go first where both processes share a processor."""


def main(questions: BinaryIO, answers: BinaryIO) -> int:
    """Answer until the input ends."""
    operations = find_operations()
    if hasattr(os, "nice"):
        os.nice(NICER)
    gc.disable()  # what JSON becomes has no cycles
    while (parts := read_frame(questions)) is not None:
        headers, query, limit, body = question_of(parts)
        write_frame(answers, answer_parts(take(headers, query, body, limit, operations)))
    return 0


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    sys.exit(main(sys.stdin.buffer, out))
