"""`python -m tests.services start | status | stop`: the servers that sinks are tested against.

Theory of operation: each server is a process of its own that answers until it is told to end, by its id.
What runs stands in a file with the ids and the times at which those processes began, so that a later process
of the same id is never taken for one of ours.
Rules of this file: `start` starts what does not run yet, `stop` ends what was started here and nothing else.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.patience import PATIENCE_S, eventually
from tests.services.kinds import SERVICES

PLACE: Final = Path(".tailrace") / "services.json"


def main() -> int:
    """Do what is asked. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.services", description=__doc__)
    parser.add_argument("verb", choices=["start", "status", "stop", "serve"])
    parser.add_argument(
        "names", nargs="*", metavar="SERVICE", help=f"of {', '.join(SERVICES)}; all unless told"
    )
    parser.add_argument("--place", type=Path, default=PLACE, help="the file that says what runs")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(SERVICES):
        parser.error(f"there is no service {min(unknown)!r}: {', '.join(SERVICES)}")
    names = asked.names or list(SERVICES)
    match asked.verb:
        case "serve":
            return _serve(names[0])
        case "start":
            _start(asked.place, names)
        case "stop":
            _stop(asked.place, names)
    _tell(_running(asked.place), as_json=asked.as_json)
    return 0


def _tell(running: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(running))
        return
    for name in SERVICES:
        there = running.get(name)
        print(f"{name:10} {there['url']}   process {there['id']}" if there else f"{name:10} not running")


def _running(place: Path) -> dict[str, Any]:
    """What was started here and still runs."""
    there = json.loads(place.read_text()) if place.exists() else {}
    return {name: one for name, one in there.items() if _began(one["id"]) == one["began"]}


def _began(process: int) -> str | None:
    """When a process began, as its system tells it; None: there is none, or it has ended."""
    told = subprocess.run(
        ["ps", "-o", "lstart=,stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout.split()
    return " ".join(told[:-1]) if told and not told[-1].startswith("Z") else None


def _start(place: Path, names: list[str]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        running = _running(place)
        if name in running:
            continue
        with place.with_name(f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.services", "serve", name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        process.stdout.close()
        if not url:
            words = place.with_name(f"{name}.log").read_text(errors="replace")[-2_000:]
            raise SystemExit(f"{name} did not start:\n{words}")
        running[name] = {"id": process.pid, "began": _began(process.pid), "url": url}
        place.write_text(json.dumps(running))


def _stop(place: Path, names: list[str]) -> None:
    running = _running(place)
    for name in names:
        if (there := running.pop(name, None)) is not None:
            _end(there)
        if place.exists():
            place.write_text(json.dumps(running))


def _end(there: dict[str, Any]) -> None:
    os.kill(there["id"], signal.SIGTERM)
    eventually(lambda: _began(there["id"]) != there["began"], lambda: f"{there['url']} does not end")


def _serve(name: str) -> int:
    """Be a server until the end is asked for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with SERVICES[name]() as url:
        print(url, flush=True)
        while True:
            time.sleep(PATIENCE_S)


if __name__ == "__main__":
    sys.exit(main())
