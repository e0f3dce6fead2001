"""Figures of one process: starting, importing, simulating.

Rules of this file: every figure is the median of several runs of a fresh process, or of a long loop in this
one.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.serving import tailrace


def start_figures(runs: int) -> Iterator[tuple[str, float]]:
    """From starting `tailrace serve` to its first answer."""
    seconds = []
    for _ in range(runs):
        with tailrace() as server:
            seconds.append(server.started_in)
    yield "start of serve to the first answer", statistics.median(seconds)


def import_figures(runs: int) -> Iterator[tuple[str, float]]:
    """`import tailrace` in a fresh interpreter, less what the interpreter takes."""
    yield "import tailrace", (_seconds("import tailrace", runs) - _seconds("pass", runs)) * 1000


def world_figures(runs: int) -> Iterator[tuple[str, float]]:
    """A test world with one handler, made in a process that has made one before: what each test pays."""
    from tailrace import App
    from tailrace.testing import World

    app = App("bench")
    app.batch(app.table("things", pk="id"), id="handler")(lambda changes: None)
    World(app).close()
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        world = World(app)
        taken.append(time.perf_counter() - begun)
        world.close()
    yield "start of a test world", statistics.median(taken) * 1000


def _seconds(program: str, runs: int) -> float:
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)
