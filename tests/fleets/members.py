"""A place in a fleet: a worker process that comes and goes, behind ways of its own to the tables and to the
state.

Rules of this file: processes are real `tailrace worker`s; what they say goes to files, so that the starter
waits for nobody. A worker is stopped, killed and ended by its id.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tailrace.testing.proxy import CutOff, Fault, Late, Proxy, failing, throttled
from tests.fleet import ENVIRONMENT
from tests.fleets.plan import LEASE_S
from tests.fleets.relay import Relay, Way
from tests.patience import PATIENCE_S

APP = Path(__file__).with_name("app.py")
PROXIED: dict[str, Fault] = {
    "refused": CutOff(),
    "lost": CutOff(0),
    "throttled": throttled("*"),
    "failing": failing(),
    "late": Late(700),
}


class Incarnation(NamedTuple):
    """One process of a member. Shape: `path` without its ending; `.out` and `.err` are what it said."""

    process: "subprocess.Popen[bytes]"
    path: Path

    @property
    def announced(self) -> dict[str, Any] | None:
        """What it said when it began; None: it has not yet."""
        line = self.path.with_suffix(".out").read_text().partition("\n")
        return json.loads(line[0]) if line[1] else None

    def tail(self, lines: int = 6) -> str:
        """The end of its log."""
        said = self.path.with_suffix(".err").read_text(errors="replace").splitlines()
        return "\n".join(
            [f"worker {self.process.pid}, {self.path.name}:", *(line[:400] for line in said[-lines:])]
        )


class Member:
    """A worker and those that came before it here. Shape: `state` are its options of a state's place."""

    def __init__(self, number: int, directory: Path, proxy: Proxy, relay: Relay, state: list[str]) -> None:
        self.number = number
        self.incarnations: list[Incarnation] = []
        self.is_stopped = False
        self.is_cut = False
        self.is_leaving = False
        self._directory = directory
        self._proxy = proxy
        self._relay = relay
        self._state = state

    def __str__(self) -> str:
        return f"worker {self.number}" + (f" (process {self.process.pid})" if self.incarnations else "")

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of now, or the last one."""
        return self.incarnations[-1].process

    @property
    def is_there(self) -> bool:
        """Whether a process runs, or starts, or is on its way out."""
        return bool(self.incarnations) and self.process.poll() is None

    @property
    def is_well(self) -> bool:
        """Whether it works, undisturbed."""
        is_disturbed = self.is_stopped or self.is_cut or self.is_leaving
        return self.is_there and not is_disturbed and self.incarnations[-1].announced is not None

    def start(self) -> None:
        """Begin a process."""
        path = self._directory / f"worker-{self.number}-{len(self.incarnations)}"
        self.is_leaving = False
        with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as errors:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "tailrace", "worker", str(APP), *self._state,
                    "--endpoint", self._proxy.url, "--marks", "marks", "--lease", f"{LEASE_S:g}s",
                    "--health", "off", "--log-format", "json", "--json",
                ],
                cwd=self._directory,
                env={**os.environ, **ENVIRONMENT, "LEDGER": str(self._directory / "ledger")},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )  # fmt: skip
        self.incarnations.append(Incarnation(process, path))

    def kill(self) -> None:
        """SIGKILL, now."""
        self.process.kill()
        self.process.wait()
        self.is_stopped = False

    def stop(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_stopped = True

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)
        self.is_stopped = False

    def leave(self) -> None:
        """SIGTERM."""
        self.process.terminate()
        self.is_leaving = True

    def cut_off_from_tables(self, way: str) -> None:
        """Disturb its calls of tables and streams."""
        if way == "throttled":
            self._proxy.on("GetRecords", throttled())  # which has words of its own
        self._proxy.on("*", PROXIED[way])
        self.is_cut = True

    def cut_off_from_state(self, way: Way) -> None:
        """Cut its way to the state."""
        self._relay.cut(way)
        self.is_cut = True

    def heal(self) -> None:
        """Its ways are whole again."""
        self._proxy.clear()
        self._relay.heal()
        self.is_cut = False

    def ended_badly(self) -> Iterator[str]:
        """What is wrong with how its processes ended, those that are over. A kill is nothing wrong."""
        for incarnation in self.incarnations:
            code = incarnation.process.poll()
            if code not in (None, 0, -signal.SIGKILL):
                yield f"a worker ended with {code}: {incarnation.tail()}"

    def end(self) -> None:
        """Kill what is left."""
        if self.is_there:
            self.kill()
        if self.incarnations:
            self.process.wait(PATIENCE_S)
