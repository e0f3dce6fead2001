"""Peers that happen to be installed, measured with the very same requests.

Rules of this file: nothing is installed or fetched here. `moto_server`, `ministack` and `dynalite` are
started when they are on the path; any other server on loopback is named with `--peer-url NAME=PORT`.
"""

import contextlib
import shutil
from collections.abc import Iterator

from rich.console import Console

from bench.http_figures import operations
from bench.serving import Server, free_port, started

COMMANDS = {
    "moto": ["moto_server", "-p", "{port}"],
    "dynalite": ["dynalite", "--port", "{port}", "--createTableMs", "0"],
}


@contextlib.contextmanager
def _peer(name: str) -> Iterator[Server]:
    port = free_port()
    with started([part.format(port=port) for part in COMMANDS[name]], port) as server:
        yield server


def figures(named: list[str], console: Console, *, installed: bool) -> dict[str, dict[str, float]]:
    """Peer → figure → value, for every peer that is there."""
    by_peer: dict[str, dict[str, float]] = {}
    for name in COMMANDS if installed else ():
        if shutil.which(COMMANDS[name][0]):
            with contextlib.suppress(RuntimeError), _peer(name) as server:
                by_peer[name] = _measured(server, name, console)
    for text in named:
        name, _, port = text.partition("=")
        by_peer[name] = _measured(Server(int(port), None, 0.0), name, console)  # type: ignore[arg-type]
    return by_peer


def _measured(server: Server, name: str, console: Console) -> dict[str, float]:
    values: dict[str, float] = {}
    try:
        for figure, value in operations(server, 3):
            values[figure] = value
            console.print(f"  {name}: {figure}: {value:,.0f}", highlight=False)
    # A peer may refuse what we send or fall over; its column then shows what there is.
    except Exception as error:
        console.print(f"[yellow]{name} stopped being measured:[/] {error}", highlight=False)
    return values
