"""A worker: finds the shards of an app's tables, holds their leases, runs a driver for each of both.

Rules of this file: a shard is begun by a mapping only when that mapping has finished the shard's parent, so
that the changes of one item stay in order. One lease an app and shard, taken with a new epoch at each start.
Made by `compose_worker`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from tailrace import errors
from tailrace.app.app import App, HandlerMapping
from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.requests import Progress, RedriveRequest
from tailrace.deadletters.run.putting_back import Holding, keep
from tailrace.deadletters.run.redriver import Redrives
from tailrace.errors import PortError, SourceError
from tailrace.leases.checkpoint import read_checkpoint
from tailrace.leases.lineage import waits_for
from tailrace.mapping.commands import Completion, Pause, Released
from tailrace.mapping.reader import Budget
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Shard, StreamRef
from tailrace.runtime.attempting import TimedSink
from tailrace.runtime.delivering import Delivery, Settling
from tailrace.runtime.driver import Driver, Performer, Status
from tailrace.runtime.parts import Parts
from tailrace.runtime.pausing import Pauses
from tailrace.runtime.recursion import Guards
from tailrace.runtime.starting import enter, line_before, load_start, outdated_reason
from tailrace.runtime.threads import Threads, threads_for
from tailrace.windows.run.windowing import Windows
from tailrace.worker.crew import Crew
from tailrace.worker.declared import check_declared, declare, mapping_write
from tailrace.worker.drivers import Drivers
from tailrace.worker.following import Begun, FollowedTable, Ready
from tailrace.worker.forgetting import MARKS_EVERY, Spare, forget
from tailrace.worker.habits import Doors, Habits
from tailrace.worker.leasing import Held, Leasing
from tailrace.worker.placed import Placed
from tailrace.worker.rounds import Rounds
from tailrace.worker.side_by_side import begin_side_by_side
from tailrace.worker.targets import Targets
from tailrace.worker.unread import Unread

FORGETTING_MS: Final = 3_600_000
READ_BUDGET_BYTES: Final = 64 * 1024 * 1024
"""What a worker keeps of the shards it has read for mappings that come later; who needs more reads again."""


class Worker:
    """Runs the handlers of one app until it is stopped. Shape: `crew` makes who works beside them."""

    def __init__(
        self,
        app: App,
        parts: Parts,
        doors: Doors,
        habits: Habits,
        crew: Callable[["Worker"], Crew] = lambda _: Crew(),
    ) -> None:
        self.app = app
        self.owner = habits.owner.name
        self._parts = parts
        self._state, self._clock, self.tallies = parts.state, parts.clock, parts.tallies
        self._doors = doors
        self._habits = habits
        self._code_versions: dict[str, str] = {}
        self._budget = Budget(READ_BUDGET_BYTES)
        self.sinks: dict[str, TimedSink] = {}
        """Every handler's sink, the tally of its attempts, and the threads for what blocks."""
        self._tables: list[FollowedTable] = []
        self._look = asyncio.Event()
        self.targets = Targets(app.name, parts, habits, self._look.set)
        """Of the mappings whose targets own the checkpoint."""
        for mapping in app.mappings:
            self._declare(mapping)
        self.leases = Leasing(app.name, parts, habits, self)
        """One a shard."""
        self._drivers = Drivers()
        self._beginning: set[Held] = set()
        self._held: dict[str, set[bytes]] = {}
        """The keys that a redriver keeps from each mapping: a shard begun meanwhile knows none."""
        self._left = asyncio.Event()
        self._is_stopping, self._spare = False, Spare()
        self.guards = Guards(app.name, self._state, self._clock, self._stopped)
        """What stops a handler that calls itself."""
        self.pauses = Pauses(
            app.name, self._state, self._clock, habits.owner.name, self._drivers.of, self.guards.resumed
        )
        """Which mappings are not to run, as far as this worker knows."""
        self._placed = Placed(app.name, self._state)
        self._has_begun, self._has_looked = asyncio.Event(), asyncio.Event()
        self._rounds = Rounds(app.name, self._state, self._clock, habits.retention_ms, habits.holds_trim)
        self._evacuator = self._rounds.evacuator
        reads = self.leases, self._drivers, self._rounds
        self.unread = Unread(app.name, self._clock, lambda: self._tables, self._has_duty, reads)
        """Which shards no worker reads, and which are to be saved here."""
        self._crew = crew(self)
        self.courier, self.projector = self._crew.courier, self._crew.projector
        self.mirrors = self._crew.mirrors
        self.windows, self.watch = self._crew.windows, self._crew.watch
        self.snapshots, self.replayed = self._crew.snapshots, self._crew.replayed
        self.retelling = self._crew.retelling
        self.redrives = Redrives(self._crew.redriver, lambda handler: self.sinks[handler].threads.used())

    # ---- what others may see -------------------------------------------------------------------------------

    def status(self) -> list[Status]:
        """Every mapping in every shard that runs now."""
        return self._drivers.statuses(self.app.name, self.pauses)

    @property
    def drivers(self) -> Sequence[Driver]:
        """Every driver that runs now."""
        return [*self._drivers.values()]

    # ---- what the redriver and people may do ---------------------------------------------------------------

    def hold(self, mapping_id: str, letter: DeadLetter) -> Holding | None:
        """Keep a letter's item from its handler until Released. None: busy, or read elsewhere."""
        here, key = self._readers(mapping_id, letter), letter.record.key
        holding = None if here is None else keep(key, here)
        if holding is not None:
            self._held.setdefault(mapping_id, set()).add(key)
        return holding

    def reads(self, mapping_id: str, letter: DeadLetter) -> bool:
        """Whether every shard that may hold later changes of a letter's item is read here."""
        return self._readers(mapping_id, letter) is not None

    def _readers(self, mapping_id: str, letter: DeadLetter) -> list[Driver] | None:
        windows = next((windows for windows in self.windows if windows.owner.mapping_id == mapping_id), None)
        if letter.is_of_window and windows is not None and windows.has_others:
            return [] if windows.is_telling else None  # it is of no shard
        where = mapping_id, letter.shard_id, letter.record.partition
        places = next((table.readers(*where) for table in self._tables if mapping_id in table.ids), None)
        is_here = places is not None and self._drivers.keys() >= places
        return [self._drivers[place] for place in places or ()] if is_here else None

    def tell(self, mapping_id: str, word: Completion) -> None:
        """Tell every machine of a mapping."""
        for driver in self._drivers.of(mapping_id):
            driver.tell(word)
        if isinstance(word, Released) and mapping_id in self._held:
            self._held[mapping_id].discard(word.key)
            self._look.set()

    async def begun(self) -> None:
        """Return when the worker takes requests: it runs, and goes on with those that were left."""
        await self._has_begun.wait()

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        """The stream of a shard; the newest when that is gone. Raises: SourceError, also once withdrawn."""
        for table in self._tables:
            if mapping_id in table.ids:
                return await table.stream_of(shard_id)
        raise SourceError(f"{mapping_id!r} runs no more")

    def code_version(self, mapping_id: str) -> str:
        """The version of a handler's code that runs here."""
        return self._code_versions.get(mapping_id, "")

    def redrive(self, request: RedriveRequest, progress: Progress) -> asyncio.Task[None]:
        """Carry out a request beside all else, once `begun`; the next start goes on after `stop`."""
        return self.redrives.carry_out(request, progress)

    async def look_at_pauses(self) -> None:
        """Learn at once what people want: pauses now, positions that were set at the look that follows."""
        with suppress(PortError):  # the store is failing: the next look asks again
            await self.pauses.look()
        self._look.set()

    def _stopped(self, mapping_id: str, since_ms: int) -> None:
        """A guard has written that a mapping is to pause."""
        self.pauses.note(mapping_id, since_ms)
        self._look.set()

    # ---- life ----------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """See that no handler lost its name, and write down new ones. Raises: SettingsError, StoreError."""
        begun = await check_declared(self._state, self.app)
        name, now_ms = self.app.name, self._clock.now().wall_ms
        writes = [
            mapping_write(name, mapping, begun.get(mapping.id, now_ms)) for mapping in self.app.mappings
        ]
        for table in self._tables:
            for handler in table.handlers:
                if handler.settings.starts_at_end and handler.id not in begun:
                    writes += await table.behind(name, handler, self._doors.last_sequence())
        await declare(self._state, writes)

    async def run(self) -> None:
        """Run until `stop`. Raises: an error of a driver, no handler's; what cleaning up raises."""
        try:
            await self._run()
        finally:
            for sink in self.sinks.values():
                await sink.end()
            await self._crew.ended()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self.redrives.begin(tasks)
            beside = [tasks.create_task(work, name=name) for name, work in self._beside()]
            while not self._is_stopping:
                self._look.clear()
                await self._learn()
                with suppress(PortError):
                    for table in self._tables:
                        await self._discover(table, tasks)
                self._has_looked.set()
                with suppress(PortError):  # what was asked meanwhile, of whichever process
                    await self.redrives.go_on(self.sinks)
                    self._has_begun.set()
                await self._look.wait()
            self.redrives.cancel()
            for driver in self._drivers.values():
                driver.stop()
            while self._drivers:
                self._look.clear()
                await self._look.wait()
            for task in beside:
                task.cancel()
        await self.leases.release()

    def _beside(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What goes on beside the drivers until the end."""
        yield from ((name, service.run()) for name, service in self._crew.services)
        yield from (("windows", self._tell_windows(windows)) for windows in self.windows)
        yield "leases", self.leases.run()
        yield "heartbeat", self.leases.watch()
        yield "evacuator", self._evacuate()
        yield "forgetting", self._forget()
        yield "targets", self.targets.run()
        yield "looking", self._look_now_and_then()

    async def _has_duty(self, mapping_id: str) -> bool:
        return await self._crew.has_duty(mapping_id)

    async def _evacuate(self) -> None:
        await self._has_looked.wait()  # the first look asks the sources and the store the same questions
        await self._rounds.run(self.unread.to_save)

    async def _tell_windows(self, windows: Windows) -> None:
        with self.sinks[windows.owner.mapping_id].threads.used():
            await windows.run()

    async def _learn(self) -> None:
        """What is paused, allowed and saved, before anything begins; a failing store is asked again."""
        while not self._is_stopping:
            with suppress(PortError):
                await self.guards.load()
                await self.pauses.look()
                await self._rounds.load()
                if not self.leases.fleet.has_looked:
                    await self.leases.begin()
                await self._placed.look(self._tables, self._drivers.keys(), self.leases.lose)
                return
            await self._look.wait()
            self._look.clear()

    def stop(self) -> None:
        """Drain: `run` returns when everything in flight has ended and is saved."""
        self._is_stopping = True
        self._look.set()

    async def _look_now_and_then(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._habits.discovery_ms)
            self._look.set()

    # ---- what it runs --------------------------------------------------------------------------------------

    async def change(self) -> None:
        """Run what the app declares now. A mapping that is the same object goes on untouched.

        Guarantee: when it returns, what is no longer declared has ended and is saved.
        Raises:  StoreError.
        """
        wanted = {mapping.id: mapping for mapping in self.app.mappings}
        for handler in [handler for table in self._tables for handler in table.handlers]:
            if wanted.get(handler.id) is not handler:
                await self._withdraw(handler)
        running = {handler.id for table in self._tables for handler in table.handlers}
        added = [mapping for mapping in wanted.values() if mapping.id not in running]
        for handler in added:
            self._declare(handler)
        self._crew.declared()
        await self.redrives.go_on({mapping.id for mapping in added})
        self._look.set()

    def _declare(self, handler: HandlerMapping) -> None:
        self._code_versions[handler.id] = self._doors.code_version_of(handler)
        tally = self.tallies.of(handler.id)
        threads = Threads(handler.id, threads_for(handler.settings.concurrency))
        self.sinks[handler.id] = TimedSink(self._doors.sink_of(handler), self._clock, tally, threads)
        table = next((followed for followed in self._tables if followed.takes(handler)), None)
        if table is None:
            source, besides = self._doors.source_of(handler.table), self._doors.besides
            table = FollowedTable.by(handler, source, self._budget, self._state, self.app, besides)
            self._tables = [*self._tables, table]
        self.targets.add(handler, self._doors.target_of(handler), table)

    async def _withdraw(self, handler: HandlerMapping) -> None:
        """Drain one mapping; the others do not notice."""
        (table,) = [followed for followed in self._tables if followed.runs(handler)]
        table.handlers = [mapping for mapping in table.handlers if mapping is not handler]
        self.redrives.cancel(handler.id)
        for driver in self._drivers.of(handler.id):
            driver.stop()
        while self._drivers.of(handler.id):
            self._left.clear()
            await self._left.wait()
        table.begun = {place for place in table.begun if place[0] != handler.id}
        table.finished = {place for place in table.finished if place[0] != handler.id}
        self.targets.remove(handler.id)
        await self.sinks.pop(handler.id).end()
        await self._crew.withdrawn(handler.id)

    # ---- shards --------------------------------------------------------------------------------------------

    async def _discover(self, table: FollowedTable, tasks: asyncio.TaskGroup) -> None:
        """Begin what can be begun: a stream after the one before it, a shard after its parent."""
        try:
            if not self._habits.owner.is_alone:
                await table.look_at_numbers(self.owner)
            table.fresh = set(table.ids)
            followed = await table.followed()
            await table.recall(self._state, self.app.name, followed)
        except PortError:
            table.fresh.clear()
            return  # the source or the state is failing: the next look may find it well
        listed = {stream.label: shards for stream, shards in followed}
        ready: list[Ready] = []
        for handler in table.handlers:
            there = self._evacuator.added([handler.id], followed)
            table.there[handler.id] = [pair for pair in there if table.follows(handler, *pair)]
            over = await table.learn_finished(self._state, self.app.name, handler, self.leases.finished_by)
            self.leases.note_finished(over, table.ids)
            ready += table.ready(handler, listed, there)
        table.ready_now = ready
        table.offered = {shard.place for _, _, shard, _ in ready}
        self.leases.offer(place for other in self._tables for place in other.offered)
        new = await table.with_vanished(self._state, self.app.name, self._unbegun(table, ready))
        await begin_side_by_side(new, partial(self._discovered, table, tasks))
        table.forget(self._evacuator.added(table.ids, followed))

    def _unbegun(self, table: FollowedTable, ready: Sequence[Ready]) -> list[Ready]:
        """Those that are to be read here, as far as that is known, and are not."""
        return [
            new
            for new in ready
            if (new.handler.id, *new.shard.place) not in table.begun and self.leases.wants(new.shard.place)
        ]

    async def _discovered(self, table: FollowedTable, tasks: asyncio.TaskGroup, new: Ready) -> None:
        """Begin a mapping's shard, which is to be read here; by now that may be otherwise."""
        handler, place = new.handler, new.shard.place
        begun = (handler.id, *place)
        if begun in table.begun or self._is_stopping or self._held.get(handler.id):
            return
        if not (self.leases.wants(place) and table.runs(handler)):
            return
        table.begun.add(begun)
        self._beginning.add(place)
        try:
            await self._begin(table, tasks, new)
        except errors.LeaseLost:
            self._look_again(table, begun)
        except PortError:
            table.begun.discard(begun)  # the store failed, or another worker has the lease: look again
        finally:
            self._beginning.discard(place)
        if self.leases.is_leaving(place):
            await self._hand_over_if_drained(place)

    def _look_again(self, table: FollowedTable, begun: Begun, epoch: int | None = None) -> None:
        """A lease is lost: its shard goes on here when the other worker has left it or has died."""
        self.targets.compare_again(begun[0])
        self.leases.lose(begun[1:], epoch)
        table.begun.discard(begun)

    async def _begin(self, table: FollowedTable, tasks: asyncio.TaskGroup, new: Ready) -> None:
        handler, stream, shard, known = new
        place, there = table.place(self.app.name, handler, stream, shard), (handler.id, *shard.place)
        saved = self._evacuator.of(handler.id, stream.label, shard.shard_id)
        performer = Performer(self._state, self._clock, self._parts.reached, horizon=table.reads.horizon)
        if known.saved:
            before = waits_for(shard, await performer.perform(line_before(place, shard, known)), known)
            if not table.finished.issuperset((handler.id, stream.label, parent) for parent in before):
                table.begun.discard(there)
                return
        if await self._is_finished(place.checkpoint_key):
            await self._finished(table, handler, stream, shard)
            return
        lease = await self.leases.of(stream, shard, table.places(self.app.name, stream, shard))
        if not self._habits.owner.is_alone:
            await table.refresh_numbers()
        stamped = self.leases.stamped(place, lease.epoch)
        entering = enter(place, shard, known, lease.epoch, self._habits.retention_ms, stamped)
        begun = await performer.perform(entering)
        place = replace(place, run=f"{shard.digest}-{lease.epoch:x}-{self._clock.now().wall_ms:x}")
        code = self.code_version(handler.id)
        if (reason := outdated_reason(begun, code)) is not None:
            await self.redrives.renew(handler.id, reason, code, at_once=self._has_begun.is_set())
        loading = load_start(place, shard, begun, code, has_chains=handler.settings.is_disordered)
        start = await performer.perform(loading)
        await self.pauses.look_at(handler.id)
        announced = None if self.courier is None else self.courier.announced(handler.id)
        has_moved = await self._placed.has_moved(handler.id)
        if has_moved or not (table.runs(handler) and self.leases.holds(shard.place, lease.epoch)):
            table.begun.discard(there)  # withdrawn, its positions set, or the lease lost or handed over
            return
        machine = ShardMachine(handler.settings.reading(stream.arn, stream.view_type, stream.region))
        target = self.targets.of(handler.id)
        settling = Settling(place, begun, code, announced, is_transactional=target is not None)
        delivery = Delivery(shard, stream, saved, settling)
        sink, name = self.guards.around(handler, self.sinks[handler.id]), handler.function_name
        driver = Driver(machine, delivery, table.reads, sink, self._parts, target=target, name=name)
        self._drivers[there] = driver
        if self.pauses.is_paused(handler.id):
            driver.tell(Pause())

        async def run() -> None:
            try:
                is_finished = await driver.run(start, known)
            finally:
                del self._drivers[there]
                table.reads.leave(handler.id, shard)
                self._left.set()
            if is_finished:
                await self._finished(table, handler, stream, shard)
            elif table.runs(handler):
                self._ended(table, there, lease.epoch)
            await self._hand_over_if_drained(shard.place)

        tasks.create_task(run(), name=f"{handler.id} in {shard.shard_id}")

    async def _is_finished(self, checkpoint_key: str) -> bool:
        saved = await self._state.get(checkpoint_key)
        return saved is not None and read_checkpoint(saved.fields)[2]

    def _ended(self, table: FollowedTable, begun: Begun, epoch: int) -> None:
        """A driver has ended before its shard: for another worker, because that has the lease already, or
        because this one stops.
        """
        if self.leases.is_leaving(begun[1:]):
            table.begun.discard(begun)
        elif not self._is_stopping:
            self._look_again(table, begun, epoch)

    async def _finished(
        self, table: FollowedTable, handler: HandlerMapping, stream: StreamRef, shard: Shard
    ) -> None:
        table.finish((handler.id, *shard.place))
        self._look.set()
        if table.is_over(shard.place):
            await self.leases.give_back(stream, shard, table.ids)
        else:
            await self.leases.finished(shard.place, handler.id)

    async def _forget(self) -> None:
        for number in count():
            marks = self._state if self._crew.marks is None else self._crew.marks
            is_due = marks is self._state or number % MARKS_EVERY == 0
            await self._clock.sleep_until(self._clock.now().monotonic_ms + FORGETTING_MS)
            for table in self._tables if await self._crew.may_forget() else ():
                with suppress(PortError):  # the next hour tries again
                    present = self._evacuator.added(table.ids, await table.followed())
                    for handler in table.handlers:
                        place = self.app.name, handler.id
                        await forget(self._parts, *place, present, self._spare, marks if is_due else None)
                    await self.leases.forget(present)

    # ---- what its leases tell ------------------------------------------------------------------------------

    def lost(self, place: Held) -> None:
        """The lease of a shard is another worker's by now."""
        self._drivers.lost(place)

    def leave(self, place: Held) -> bool:
        """Drain a shard that another worker is to have. Returns: whether anything is at work there."""
        return self._drivers.drain(place) or place in self._beginning

    def looked(self) -> None:
        """What is known of leases has changed."""
        self._look.set()

    async def _hand_over_if_drained(self, place: Held) -> None:
        if not (self._is_stopping or self._drivers.inside(place) or place in self._beginning):
            await self.leases.drained(place)
        self._look.set()
