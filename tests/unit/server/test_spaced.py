"""What a scrape of a worker over thousands of shards reads of the state."""

import asyncio
from typing import Any

import pytest

from tailrace import App, Change, compose_fleet
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.errors import StoreError
from tailrace.leases.checkpoint import CheckpointRow, Ledger, checkpoint_key
from tailrace.leases.lease import lease_key, take
from tailrace.rows.writes import StateRow, Write
from tailrace.server.fleet import FleetProcess
from tailrace.server.spaced import SpacedLook, rest_ms
from tailrace.sources.far_tables import FarPlace
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.arns import ACCOUNT

SHARDS = 3_000


class Counted(MemoryStateStore):
    """Counts the rows that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        rows = await super().query(prefix, after=after, limit=limit)
        self.rows += len(rows)
        return rows


class Scraped:
    """A worker's process that has not begun, over checkpoints and leases of so many shards."""

    def __init__(self, shards: int) -> None:
        self.clock, self.state = ManualClock(), Counted()
        self.app = App("shop")

        @self.app.on(self.app.table("orders", pk="id"), id="spaced")
        def spaced(change: Change) -> None:
            pass

        for number in range(shards):
            row = CheckpointRow(1, 0, 7, ledger=Ledger({"handled": 2}))
            words = "label", f"shard-{number}"
            writes = [
                Write(checkpoint_key("shop", "spaced", *words), row.fields()),
                take(lease_key("shop", *words), None, "another")[1],
            ]
            asyncio.run(self.state.transact(writes))

    async def close(self) -> None:
        """Nothing is open."""

    def process(self) -> FleetProcess:
        options = compose_fleet.FleetOptions(
            "w1", self.state, "memory", Access("us-east-1", "http://127.0.0.1:9"),
            FarPlace("us-east-1", ACCOUNT), self.close,
        )  # fmt: skip
        return FleetProcess(compose_fleet.build_fleet_worker(self.app, self.clock, options), [], 1.0)

    async def rows_of(self, process: FleetProcess, path: str) -> tuple[int, str]:
        """How many rows a question reads, and its answer."""
        before = self.state.rows
        _, _, body = await process._routes()[path]()
        return self.state.rows - before, body.decode()


@pytest.mark.parametrize("path", ["/metrics", "/ready"])
def test_scrapes_and_probes_read_a_hundred_rows_a_second_however_often_they_come(path: str) -> None:
    scraped = Scraped(SHARDS)

    async def story() -> None:
        process = scraped.process()
        assert (await scraped.rows_of(process, path))[0] == 2 * SHARDS, "of each a checkpoint and a lease"
        for _ in range(29):
            scraped.clock.advance(1_000)
            assert (await scraped.rows_of(process, path))[0] == 0
        scraped.clock.advance(1_000)
        assert (await scraped.rows_of(process, path))[0] == 2 * SHARDS

    asyncio.run(story())


def test_what_all_workers_have_settled_is_counted_and_follows_at_once_where_shards_are_few() -> None:
    scraped = Scraped(4)

    async def story() -> None:
        process = scraped.process()
        assert 'outcome="handled"} 8.0' in (await scraped.rows_of(process, "/metrics"))[1]
        row = CheckpointRow(1, 1, 9, ledger=Ledger({"handled": 5}))
        await scraped.state.transact(
            [Write(checkpoint_key("shop", "spaced", "label", "shard-1"), row.fields())]
        )
        scraped.clock.advance(rest_ms(4))
        assert 'outcome="handled"} 11.0' in (await scraped.rows_of(process, "/metrics"))[1]

    asyncio.run(story())


def test_who_asks_while_a_look_is_made_waits_for_it_and_an_error_is_not_kept() -> None:
    async def story() -> None:
        clock, looks = ManualClock(), 0
        spaced: SpacedLook[int] = SpacedLook(clock)
        answers: list[Any] = [StoreError("away"), (7, 100)]

        async def read() -> tuple[int, int]:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0)
            answer = answers.pop(0)
            if isinstance(answer, StoreError):
                raise answer
            number: tuple[int, int] = answer
            return number

        with pytest.raises(StoreError):
            await spaced.look(read)
        assert await asyncio.gather(*(spaced.look(read) for _ in range(5))) == [7] * 5
        assert looks == 2
        clock.advance(999)
        assert (await spaced.look(read), looks) == (7, 2)
        answers.append((8, 100))
        clock.advance(1)
        assert (await spaced.look(read), looks) == (8, 3)

    asyncio.run(story())
