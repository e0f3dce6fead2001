"""What befalls a test world while it goes on: a worker dies and starts again, shards split, ports fail.

Theory of operation: a death leaves what is durable at that moment, on a store of its own, and cancels every
task but the one that notices; when the world is still again, its workers start anew on that store.
Rules of this file: whether a fault strikes is asked of faults.py. The part of `World` that `faults` is.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from tailrace.app.app import App
from tailrace.app.table import Table
from tailrace.compose import create_tables
from tailrace.errors import ApiError
from tailrace.telemetry import PointReached
from tailrace.testing.exploring_loop import ExploringLoop
from tailrace.testing.faulting import Crashed, is_outage
from tailrace.testing.faults import MOST_SHARDS, FaultBlock
from tailrace.testing.journal import LazyAttributes
from tailrace.testing.mortal import MortalStore
from tailrace.testing.verbs import Verbs
from tailrace.values.types import Item

KILLED: Final = "this engine ended with the worker that was killed: world.engine is the one of now"


class Perils(Verbs):
    """A world whose workers may die.

    Shape:   `_died` is the fault by which the workers died, until they start again; `_dead` are the stores of
             engines that ended so; `_main` is the task of the method that is called.
    """

    _store: MortalStore
    _dead: tuple[MortalStore, ...]
    _died: str | None
    _main: asyncio.Task[Any]
    _reached: PointReached

    def split(self, table: Table | str) -> int:
        """Split every open shard of a table's stream, as a growing table does. Returns: how many are open.

        Raises:  ApiError.
        """
        count = len(self.engine.split_shards(str(table)))
        self.engine.committer.flush()
        return count

    def _open(self) -> None:
        raise NotImplementedError

    async def _start(self, app: App) -> None:
        raise NotImplementedError

    async def _cancel(self) -> None:
        raise NotImplementedError

    async def _idle(self) -> None:
        raise NotImplementedError

    # ---- faults --------------------------------------------------------------------------------------------

    def faults(
        self,
        *,
        duplicates: float = 0,
        crash: str | Collection[str] = (),
        reshard: str | None = None,
        throttle: float = 0,
        outage: str | None = None,
        slow: str | None = None,
        kinesis: float = 0,
        seed: int | None = None,
        **unknown: object,
    ) -> FaultBlock:
        """Inject faults into the delivery while the block runs, each by chance of the seed.

        Shape:   `as struck` counts how often each one strikes. `duplicates` and `throttle` are how often, 0
                 to 1; `crash` is where the worker dies ("after-effect", a point of telemetry, "anywhere", or
                 several); `reshard` how often shards split ("4h"); `outage` for how long every handler is
                 unavailable, once; `slow` how long a handler takes at most; `kinesis` how often a change
                 comes late or again into a data stream that its table is copied to. Without a seed: the
                 world's.
        Raises:  SettingsError, with everything that there is; also from `settle` and `advance` when the block
                 was not entered by `with`.
        """
        asked = {
            "duplicates": duplicates,
            "crash": crash,
            "reshard": reshard,
            "throttle": throttle,
            "outage": outage,
            "slow": slow,
            "kinesis": kinesis,
            **unknown,
        }
        return FaultBlock(
            self._faults,
            asked,
            self.seed if seed is None else seed,
            lambda struck: self._journal.note("faults that struck: {}", struck),
        )

    def _pass(self, point: str) -> None:
        """A worker passes a point: it may die there. What is durable now is all that is left of it."""
        self._reached(point)
        struck = self._faults.crash(point)
        if struck is None or self._died is not None:
            return
        self._journal.note(f"fault {struck}: the worker dies")
        self._died = struck
        self._die(self._main, asyncio.current_task(self.loop))
        raise Crashed(struck)

    def _die(self, *spared: asyncio.Task[Any] | None) -> None:
        """What is durable now is all that is left, and nothing goes on."""
        self._dead, self._store = (*self._dead, self._store), self._store.successor()
        for task in self.loop.tasks():
            if task not in spared:
                task.cancel()

    def _bury(self) -> None:
        """Let users of an engine that died be told so."""
        for store in self._dead:
            store.end(KILLED)
        self._dead = ()

    def _has_died(self) -> bool:
        if self._died is not None:
            return True
        # A worker that throttling keeps from beginning ends with a PortError; its supervisor starts it again.
        for running in self._running:
            if self._faults.struck and running.task.done() and is_outage(running.task.exception()):
                self._journal.note("the worker ended: {}", running.task.exception())
                self._died = "throttled"
                return True
        return False

    async def _revive(self) -> None:
        """Start the workers again from what is durable."""
        apps = [running.app for running in self._running]
        await self._cancel()
        self.loop.errors.clear()
        self._died = None
        self._bury()
        self._open()
        for app in apps:  # before housekeeping looks: streams wait for the archives of those that begin
            create_tables(app, self.engine)
        self.engine.committer.flush()
        for app in apps:
            await self._start(app)
        self._journal.note("the worker starts again from its checkpoints")

    def _written(self, words: str, content: Item) -> None:
        self._journal.note("{} {}", words, LazyAttributes(content))
        self._faults.written(self.clock.now().monotonic_ms)
        self._reshard()
        if isinstance(self.loop, ExploringLoop) and (until := self.loop.after_write()) is not None:
            self._run(self._idle() if isinstance(until, str) else self.loop.some_turns(until))

    def _reshard(self) -> bool:
        struck = self._faults.reshard(self.clock.now().monotonic_ms)
        if struck is None:
            return False
        for table in {mapping.table.name: None for run in self._running for mapping in run.app.mappings}:
            with suppress(ApiError):  # its stream is off
                shards = self.engine.shards_of(self.engine.stream_of(table).arn)
                if sum(not shard.is_closed for shard in shards) < MOST_SHARDS:
                    self._journal.note(f"fault {struck}: {{}} has {{}} open shards", table, self.split(table))
        return True
