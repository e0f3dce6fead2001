"""A worker of a fleet as a process runs it, from its start to its end: the worker, and what it tells of
itself over HTTP.

Theory of operation: the same order as a node's. Everything is seen before anything is read; then starts are
put, the worker checks what it declares, listens, and runs. A worker that ends by itself ends the process. The
end drains within a bound, as a node's does; what is left is said.
Rules of this file: it knows of no implementation; what it runs is made by compose_fleet.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import PortError
from tailrace.runtime.masking import masked
from tailrace.runtime.outages import REACHED, Outages
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName
from tailrace.server import observe
from tailrace.server.http import Route
from tailrace.server.observe import HandlerTotals, Observed, Response
from tailrace.server.probes import Probes
from tailrace.server.pulse import Pulse
from tailrace.server.readers import declared_mappings, readers_progress, shard_states, unread_of
from tailrace.server.signs import ContestedLeases
from tailrace.server.snapshot import handler_totals, own_changes, snapshots_observed
from tailrace.server.spaced import SpacedLook
from tailrace.version import __version__
from tailrace.views.progress import Ledgers, condensed, ledgers
from tailrace.views.reading import ViewSources
from tailrace.worker.ending import end_worker, still_at_work
from tailrace.worker.worker import Worker

JSON = "application/json"


class FleetWorker(Struct, frozen=True):
    """A worker and what is beside it. Shape: `begin` puts the starts of new mappings, and says from when they
    begin (ms since the epoch, by mapping); `close` gives back what is open; `read_price` is what a million
    reads cost, in US dollars.
    """

    worker: Worker
    begin: Callable[[], Awaitable[Mapping[str, int]]]
    reading: ViewSources
    outages: Outages
    sight: Sight
    pacer: Pacer
    contested: ContestedLeases
    pulse: Pulse
    close: Callable[[], Awaitable[None]]
    read_price: float = 0.0


class FleetProcess:
    """One worker in this process. Shape: `probes` are host and port of each address, with the paths that it
    answers. Units: seconds.
    """

    def __init__(
        self, fleet: FleetWorker, probes: Sequence[tuple[str, int, Sequence[str]]], drain_s: float
    ) -> None:
        self._fleet = fleet
        self._drain_s = drain_s
        self._said: dict[MappingName, SpacedLook[Ledgers]] = {}
        self._probes = [
            Probes(host, port, {path: self._routes()[path] for path in paths}) for host, port, paths in probes
        ]
        self._working: asyncio.Task[None] | None = None
        self._seen: dict[str, HandlerTotals] = {}
        """What handlers came to, as the state told it last."""
        self._pulsing: asyncio.Task[None] | None = None
        self._seen_snapshots: Sequence[Mapping[str, Any]] = ()
        self.stopping = asyncio.Event()
        self.started: Mapping[str, int] = {}
        """From when mappings begin that were never here and do not begin at the beginning."""

    async def start(self) -> list[int]:
        """Begin. Returns: the ports that it listens at. Raises: SettingsError, SourceError, StoreError,
        OSError.
        """
        self.started = await self._fleet.begin()
        await self._fleet.worker.check()
        ports = [await probe.start() for probe in self._probes]
        self._working = asyncio.get_running_loop().create_task(self._fleet.worker.run())
        self._working.add_done_callback(lambda _: self.stopping.set())
        self._pulsing = asyncio.get_running_loop().create_task(self._fleet.pulse.run())
        return ports

    async def stop(self) -> list[str]:
        """Drain within the bound, and close everything. Repeatable.

        Returns: what was left, in words: then this process should end at once. Raises: what ended the worker.
        """
        working, self._working = self._working, None
        left: list[str] = []
        try:
            if working is not None:
                left = await end_worker(self._fleet.worker, working, self._drain_s)
        finally:
            if self._pulsing is not None:
                self._pulsing.cancel()
            for probe in self._probes:
                await probe.close()
            await self._fleet.close()
        return left or await still_at_work()

    # ---- what it answers -----------------------------------------------------------------------------------

    def _routes(self) -> Mapping[str, Route]:
        return {
            "/health": self._health,
            "/alive": self._alive,
            "/ready": self._ready,
            "/metrics": self._metrics,
        }

    async def _alive(self) -> Response:
        return self._fleet.pulse.answer()

    async def _health(self) -> Response:
        pacer = self._fleet.pacer
        pace = {"shards": pacer.open_shards, "idle_delay_ms": pacer.idle_ms}
        return 200, JSON, orjson.dumps({"alive": True, "worker": self._fleet.worker.owner, **pace})

    async def _ready(self) -> Response:
        failing = dict(self._fleet.outages.failing)
        try:
            status, kind, body = observe.ready(await self._observed())
        except PortError as error:
            status, kind, body = 503, JSON, b'{"reasons":[]}'
            failing.setdefault("what it reads", str(error.args[0]))
        if not failing:
            return status, kind, body
        reasons = [
            {"reason": "outage", "what": what, "message": masked(text)} for what, text in failing.items()
        ]
        answer = {"ready": False, "reasons": [*reasons, *orjson.loads(body)["reasons"]]}
        return 503, JSON, orjson.dumps(answer)

    async def _metrics(self) -> Response:
        """What is known without the state is told while it cannot be reached, too."""
        return observe.metrics(await self._observed(in_outage=True))

    async def _observed(self, *, in_outage: bool = False) -> Observed:
        """This process now. Raises: PortError, unless what was seen last is to stand for what cannot be read
        `in_outage`.
        """
        worker, reading, sight = self._fleet.worker, self._fleet.reading, self._fleet.sight
        contested: Mapping[str, tuple[str, ...]] = {}
        progress, handlers = [], []
        for number, mapping in enumerate(declared_mappings(worker.app)):
            progress += readers_progress(reading, sight, mapping, unread_of(worker, mapping.handler))
            try:
                if number == 0:
                    contested = await self._fleet.contested.look(worker.drivers)
                own, said = own_changes(worker).get(mapping.handler, 0), await self._ledgers_of(mapping)
                totals = await handler_totals(reading, mapping, own, said)
                shards = len(contested.get(mapping.handler, ()))
                self._seen[mapping.handler] = replace(totals, contested_shards=shards)
            except PortError:
                if not in_outage:
                    raise
            handlers.append(self._seen.get(mapping.handler, HandlerTotals(mapping.handler, mapping.table)))
        return Observed(
            version=__version__,
            progress=progress,
            handlers=handlers,
            snapshots=await self._snapshots(in_outage=in_outage),
            retention_ms=reading.retention_ms,
            wall_ms=reading.clock.now().wall_ms,
            leases=worker.leases.states,
            shards=shard_states(worker, sight),
            calls=sight.calls,
            lease_changes=worker.leases.changes,
            away_ms={kind: self._fleet.outages.away_ms(kind) for kind in REACHED},
            cost_usd=sight.calls["get_records", "ok"] * self._fleet.read_price / 1_000_000,
        )

    async def _snapshots(self, *, in_outage: bool) -> Sequence[Mapping[str, Any]]:
        """Of the app's handlers that take tables; as they were seen last where the state is away."""
        mapped = self._fleet.worker.app.mappings
        named = [(self._fleet.worker.app.name, one.id) for one in mapped if one.snapshot or one.is_mirror]
        try:
            self._seen_snapshots = await snapshots_observed(self._fleet.reading, named)
        except PortError:
            if not in_outage:
                raise
        return self._seen_snapshots

    async def _ledgers_of(self, mapping: MappingName) -> Ledgers:
        """What came of the records of a handler at all workers: every checkpoint says a part of it."""

        async def read() -> tuple[Ledgers, int]:
            said = await ledgers(self._fleet.reading.state, mapping)
            return condensed(said), len(said)

        return await self._said.setdefault(mapping, SpacedLook(self._fleet.reading.clock)).look(read)
