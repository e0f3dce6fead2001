"""What checksums cost: the processor time of a request with them and without.

Rules of this file: two servers side by side, asked in turn with the very same requests; what counts is the
time that the server's process used, because a busy machine makes a rate of single runs differ by more than
this is about.
"""

import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.http_figures import checked, create_table, fill, gets, puts
from bench.load import Requests, run
from bench.serving import Server, tailrace

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
ROUNDS = 5


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Ratios of processor time a request, with checksums against without; the median of some rounds."""
    seconds = 1.0 if quick else 3.0
    with tailrace() as checked_server, tailrace("--checksums", "off") as plain:
        for server in (checked_server, plain):
            checked(run(server.port, lambda _: iter([create_table()]), 1), "CreateTable")
            fill(server.port)

        def ratio(requests: Callable[[int], Requests], connections: int, operation: str) -> float:
            ratios = []
            for number in range(ROUNDS):
                costs = [
                    cost_us(server, requests(number), connections, seconds, operation)
                    for server in (checked_server, plain)
                ]
                ratios.append(costs[0] / costs[1])
            return statistics.median(ratios)

        yield (
            "PutItem with checksums, against without",
            ratio(lambda number: puts(10_000_000 * (number + 1)), 16, "PutItem"),
        )
        yield (
            "PutItem with checksums, 1 connection",
            ratio(lambda number: puts(100_000_000 * (number + 1)), 1, "PutItem"),
        )
        yield "GetItem with checksums, against without", ratio(lambda number: gets(), 16, "GetItem")


def cost_us(server: Server, requests: Requests, connections: int, seconds: float, operation: str) -> float:
    """The processor time of one request. Units: microseconds."""
    before = used_s(server.process.pid)
    load = checked(run(server.port, requests, connections, seconds), operation)
    return (used_s(server.process.pid) - before) / load.requests * 1e6


def used_s(process: int) -> float:
    """The processor time that a process has used, in user and in system mode. Units: seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S
