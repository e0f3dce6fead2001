"""Servers under test: started pinned to one core, stopped by process id.

Rules of this file: a server prints its port or is given one; loopback only; its memory is read before it is
stopped.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = {CORES[0]}
LOAD_CORE = {CORES[-1]}


@dataclass(slots=True)
class Server:
    """A running server. Units: seconds from its start to the first answer."""

    port: int
    process: subprocess.Popen[bytes]
    started_in: float

    def memory_mib(self) -> float:
        """Resident memory at its highest, in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(command: list[str], port: int) -> Iterator[Server]:
    """Run a server on one core until the block ends."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        os.sched_setaffinity(process.pid, SERVER_CORE)
        try:
            _wait_until_answering(port, process)
            yield Server(port, process, time.perf_counter() - begun)
        except ConnectionError as error:
            log.seek(0)
            raise RuntimeError(
                f"{command[0]} does not answer: {log.read().decode(errors='replace')[-2000:]}"
            ) from error
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def tailrace(*options: str) -> Iterator[Server]:
    """`tailrace serve` with its defaults, in an empty data directory."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        command = [
            sys.executable,
            "-m",
            "tailrace",
            "serve",
            "--port",
            str(port),
            "--data",
            directory,
            *options,
        ]
        with started(command, port) as server:
            yield server


@contextlib.contextmanager
def limit() -> Iterator[Server]:
    """The bare server of `bench.limit`."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        process = subprocess.Popen([sys.executable, "-m", "bench.limit", directory], stdout=subprocess.PIPE)
        os.sched_setaffinity(process.pid, SERVER_CORE)
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), process, 0.0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _wait_until_answering(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise ConnectionError(f"nothing answers on port {port}")
