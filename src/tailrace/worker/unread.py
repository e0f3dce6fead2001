"""Which shards are read here, by another worker, or by none, and which of them are this worker's to save from
the trim.

Theory of operation: of a shard that is read, its owner tells lag and saves what is about to be trimmed. What
no living worker has the lease of is seen to by one worker, who has a duty for it, of each mapping one. Who
fails to save does not ask for that duty for a while: its stamp stands still, and another worker takes it.
Rules of this file: what is known of leases may be half a minute old, so two workers may save one shard at a
time, and do; it decides nothing about changes. Made by worker.py.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from tailrace.app.app import HandlerMapping
from tailrace.deadletters.core.evacuated import Evacuation
from tailrace.errors import PortError
from tailrace.ports import Clock
from tailrace.runtime.evacuation import ReadWhere, Unfinished, lead_share
from tailrace.worker.drivers import Drivers
from tailrace.worker.following import Begun, FollowedTable
from tailrace.worker.leasing import Held, Leasing
from tailrace.worker.rounds import ROUND_MS, Rounds, Waiting

UNFIT_MS = ROUND_MS // 2


class Unread:
    """What one worker knows of who reads what. Shape: `tables` are the worker's, as they are; of all workers
    one `has_duty` for a mapping.
    """

    def __init__(
        self,
        app: str,
        clock: Clock,
        tables: Callable[[], Sequence[FollowedTable]],
        has_duty: Callable[[str], Awaitable[bool]],
        reads: tuple[Leasing, Drivers, Rounds],
    ) -> None:
        self._app = app
        self._clock = clock
        self._tables = tables
        self._has_duty = has_duty
        self._leases, self._drivers, self._rounds = reads

    @property
    def ids(self) -> list[str]:
        """The ids of the mappings that this worker runs."""
        return [mapping_id for table in self._tables() for mapping_id in table.ids]

    def saved(self, names: Begun) -> Evacuation | None:
        """What is saved from the trim of a mapping's shard, as far as it is known here."""
        return self._rounds.evacuator.of(*names).evacuation

    def where(self, place: Held) -> ReadWhere:
        """By whom a shard is read, as the rows of leases say it."""
        if place in self._leases.held:
            return "here"
        return "elsewhere" if self._leases.is_elsewhere(place) else "nowhere"

    async def has_duty(self, mapping_id: str) -> bool:
        """Whether it is this worker that sees to a mapping's shards that are read nowhere."""
        failed_ms = self._rounds.failed_ms
        if failed_ms is not None and self._clock.now().monotonic_ms - failed_ms < UNFIT_MS:
            return False
        return await self._has_duty(mapping_id)

    async def to_save(self) -> list[Waiting]:
        """Every shard that a mapping without lanes is not done with and that is this worker's to save, of
        what can be listed now.
        """
        unfinished: list[Waiting] = []
        for table in self._tables():
            with suppress(PortError):
                followed = await table.followed()
                for handler in table.handlers:
                    if handler.settings.order != "lane" and not self._is_held(handler):
                        has_duty = await self.has_duty(handler.id)
                        known = self._rounds.evacuator.added([handler.id], followed)
                        for waiting in table.unfinished(self._app, handler, known, self._is_busy):
                            share = lead_share(self.where(waiting.shard.place), has_duty=has_duty)
                            if share is not None:
                                unfinished.append((waiting, table.source, share))
        return unfinished

    def _is_held(self, handler: HandlerMapping) -> bool:
        """Whether the stream itself keeps what a mapping has not handled (engine/holding.py)."""
        return self._rounds.holds_trim and handler.archive is not None

    def _is_busy(self, begun: Begun) -> bool:
        """Whether a shard is not over for the saving from the trim, although its mapping has finished it."""
        return begun in self._drivers or self.saved(begun) is not None

    def unfinished(self, mapping_id: str) -> Collection[Held] | None:
        """The shards that may bring a mapping something yet, as they were listed last; None: that is not
        known now, for one has ended since then.
        """
        for table in self._tables():
            if mapping_id in table.ids and mapping_id in table.fresh and mapping_id in table.there:
                listed = [shard.place for _, shards in table.there[mapping_id] for shard in shards]
                return {place for place in listed if (mapping_id, *place) not in table.finished}
        return None

    def places(self) -> list[Unfinished]:
        """Every shard that a mapping may begin or has begun, and that is read neither here nor, as far as is
        known, elsewhere.
        """
        return [
            Unfinished(table.place(self._app, handler, stream, shard), stream, shard)
            for table in self._tables()
            for handler, stream, shard, _ in table.ready_now
            if not self._is_read((handler.id, *shard.place), table)
        ]

    def _is_read(self, begun: Begun, table: FollowedTable) -> bool:
        return begun in self._drivers or begun in table.finished or self.where(begun[1:]) == "elsewhere"
