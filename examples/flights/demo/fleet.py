"""The fleet of `tailrace demo --fleet`: one `tailrace serve` that stands for AWS, and workers of the
application, each a process of this machine.

Theory of operation: state, marks and the application's tables are tables of that server, as they would be at
AWS. What a worker holds and what is settled is read from the state, as `tailrace status --state …` reads it.
Rules of this file: processes listen on loopback and are ended by their ids. Called by `fleet_run`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tailrace.aws.places import Access
from tailrace.clocks.system import SystemClock
from tailrace.leases.lease import read_lease
from tailrace.ports import StateStore
from tailrace.rows.kinds import LEASE
from tailrace.runtime.watermark import MappingName
from tailrace.stores.dynamodb import DynamoDbStateStore
from tailrace.views.progress import totals

from .node import DRAIN_S, PATIENCE_S, POLL_S, free_port
from .writing import Client, DemoFailure

APP: Final = "flights"
STATE: Final = "tailrace-state"
HANDLERS: Final = ("statistics", "alerts")
LEASE_S: Final = 2
"""How long a worker may be silent before the others take its shards: short, so that one sees it."""
SHARDS_A_WORKER: Final = 3
LEAST_SHARDS: Final = 8
REGION: Final = "us-east-1"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
ELSEWHERE: Final = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL")
"""What would lead a worker away from this machine."""


def environment(calls: Path) -> dict[str, str]:
    """Of every process: whose the server's tables are, and no DuckDB table, for a file has one writer."""
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**kept, **CREDENTIALS, "FLIGHTS_CALLS": str(calls), "FLIGHTS_DUCKDB": ""}


@dataclass(slots=True)
class DemoWorker:
    """One worker, from its start to its end. Shape: `number` counts the workers; `name` is "" until it has
    said which it has.
    """

    number: int
    process: "subprocess.Popen[bytes]"
    said: Path
    log: Path
    name: str = ""

    @property
    def has_begun(self) -> bool:
        """Whether it works. Raises: DemoFailure when it has ended instead."""
        line, end, _ = self.said.read_text().partition("\n")
        if end and not self.name:
            self.name = orjson.loads(line)["worker"]
        if not self.name and self.process.poll() is not None:
            raise DemoFailure(f"Worker {self.number} has not begun:\n{tail(self.log)}")
        return bool(self.name)


class DemoFleet:
    """The processes. Shape: `directory` is where their data and logs are. Raises: DemoFailure."""

    def __init__(self, directory: Path, app: Path, size: int) -> None:
        self.calls = directory / "calls"
        self.port = free_port()
        self.workers: list[DemoWorker] = []
        """All there ever were."""
        self._directory = directory
        self._app = app
        self.size = size
        self._environment = environment(self.calls)
        self._server: subprocess.Popen[bytes] | None = None
        self._state: StateStore | None = None

    @property
    def endpoint(self) -> str:
        """Where the tables are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def shards(self) -> int:
        """How many the flights' stream has."""
        return max(LEAST_SHARDS, SHARDS_A_WORKER * self.size)

    async def begin(self, client: Client) -> None:
        """Start the server, make the tables and the place for state, and start the workers."""
        data = str(self._directory / "data")
        self._server = self._started(
            "server.log", "serve", "--data", data, "--port", str(self.port), "--shards", str(self.shards)
        )
        await self._until_it_listens()
        client.is_up.set()
        for table in ("flights", "statistics", "alerts"):
            await client.call("CreateTable", table_members(table, has_stream=table == "flights"))
        options = ("--endpoint", self.endpoint, "--region", REGION)
        making = self._started("state.log", "state", "create", f"dynamodb:{STATE}", *options)
        if await asyncio.to_thread(making.wait, PATIENCE_S):
            raise DemoFailure(f"There is no place for state:\n{tail(self._directory / 'state.log')}")
        os.environ.update(CREDENTIALS)  # this process reads the state
        for name in ELSEWHERE:
            os.environ.pop(name, None)
        self._state = DynamoDbStateStore(Access(REGION, self.endpoint), STATE, SystemClock(), "demo")
        for worker in [self.start() for _ in range(self.size)]:
            await self.begun(worker)

    def _started(self, log: str, *arguments: str, said: Path | None = None) -> "subprocess.Popen[bytes]":
        with (self._directory / log).open("ab") as errors, (said or Path(os.devnull)).open("wb") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "tailrace", *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    async def _until_it_listens(self) -> None:
        assert self._server is not None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                break
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(POLL_S)
        raise DemoFailure(f"The server has not started:\n{tail(self._directory / 'server.log')}")

    # ---- workers -------------------------------------------------------------------------------------------

    def start(self) -> DemoWorker:
        """Start one more; it joins the others by itself."""
        number = len(self.workers) + 1
        log, said = f"worker-{number}.log", self._directory / f"worker-{number}.json"
        process = self._started(
            log, "worker", str(self._app), "--state", f"dynamodb:{STATE}", "--endpoint", self.endpoint,
            "--region", REGION, "--lease", f"{LEASE_S}s", "--health", "off", "--json", said=said,
        )  # fmt: skip
        self.workers.append(DemoWorker(number, process, said, self._directory / log))
        return self.workers[-1]

    async def begun(self, worker: DemoWorker) -> None:
        """Return when it works."""
        deadline = time.monotonic() + PATIENCE_S
        while not worker.has_begun:
            if time.monotonic() > deadline:
                raise DemoFailure(f"Worker {worker.number} does not begin:\n{tail(worker.log)}")
            await asyncio.sleep(POLL_S)

    def living(self) -> list[DemoWorker]:
        """Those that work. Raises: DemoFailure when one has ended that was not killed."""
        for worker in self.workers:
            if worker.process.poll() not in (None, -9):
                raise DemoFailure(f"Worker {worker.number} has ended by itself:\n{tail(worker.log)}")
        return [worker for worker in self.workers if worker.process.poll() is None and worker.has_begun]

    # ---- looking -------------------------------------------------------------------------------------------

    async def owners(self) -> Mapping[str, str]:
        """Who holds which shard: key of the lease → name of a worker, "" for none."""
        assert self._state is not None
        rows = await self._state.query(LEASE.prefix(APP))
        return {row.key: read_lease(row.key, row.fields).owner for row in rows}

    async def settled(self) -> int:
        """How many changes both handlers are done with, summed. Raises: DemoFailure when one was given up."""
        assert self._state is not None
        done = 0
        for handler in HANDLERS:
            counts = await totals(self._state, MappingName(APP, handler, "flights"))
            done += counts["handled"] + counts["filtered"]
            if given_up := sum(counts.values()) - counts["handled"] - counts["filtered"]:
                raise DemoFailure(f"{given_up} changes were given up by {handler}.")
        return done

    def end(self) -> None:
        """Let the workers drain, then end the server; what does not end is killed. Repeatable."""
        processes = [worker.process for worker in self.workers]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + DRAIN_S
        for process in processes:
            _end(process, deadline)
        if self._server is not None:
            self._server.terminate()
            _end(self._server, time.monotonic() + DRAIN_S)


def _end(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def table_members(name: str, *, has_stream: bool) -> dict[str, Any]:
    """CreateTable for a table of the application's."""
    members: dict[str, Any] = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if has_stream:
        members["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return members


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
