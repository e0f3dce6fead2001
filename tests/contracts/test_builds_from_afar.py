"""Builds of a projection whose table another server has, while it is written, its shards split, pages come
late or not at all, and workers stall, die and are cut off: whatever happens, one build is left, and it is
what the table says.

Rules of this file: the server's engine and its front end are real, and so are builders, claims and sinks;
only the network is a seeded one. A canary for each way to be wrong.
"""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from unittest import mock

import orjson
import pytest
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.aws import client
from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning
from tailrace.aws.places import Access
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import ItemsPage
from tailrace.projections.run import from_table
from tailrace.server.inprocess import InProcess
from tailrace.sources.dialects import TAILRACE
from tailrace.sources.far_items import FarItems
from tailrace.stores.memory import MemoryStore
from tailrace.streams.positions import POSITION_HEADER, position_value
from tailrace.streams.record import SequenceNumber
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Delete, Put
from tests.contracts.projecting import Orders, Workshop, by_chance, projected, told
from tests.serving import START_MS

HEAD = {
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}
SEEDS = range(25)
OLD = 24
"""Items whose changes the stream has no longer: only a build brings them."""
AFAR = Access("us-east-1", "http://127.0.0.1:1")


class Server:
    """Another process's engine, behind a network that a seed drives. Shape: `change` is done to the headers
    of an answer when it arrives.
    """

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.clock = ManualClock(START_MS)
        self.engine = Engine(MemoryStore(), self.clock, EngineSettings(shards=2))
        self.engine.create_table(TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES"))
        self.engine.committer.flush()
        self.door = InProcess(self.engine)
        self.change: Callable[[dict[str, str]], dict[str, str]] = lambda headers: headers
        self.meanwhile: Callable[[], object] = lambda: None
        """What other clients do while an answer is on its way."""
        self.lost = self.pages = self.overtaken = 0
        """Of the pages, those that something was written behind before they arrived."""

    async def answer_of(
        self, access: Access, service: str, operation: str, members: Mapping[str, Any], headers: Any
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """As aws.client's. The call and its answer take their time, and may be lost."""
        assert (service, operation) == ("dynamodb", "scan")
        await self._on_the_way()
        target = {"X-Amz-Target": "DynamoDB_20120810.Scan"}
        answer = self.door.call({**HEAD, **target, **headers}, orjson.dumps(members))
        assert answer.status == 200, answer.body
        position = self.engine.last_sequence
        await self._on_the_way()
        if self.chance.random() < 0.3:
            self.meanwhile()
        self.pages += 1
        self.overtaken += self.engine.last_sequence > position
        return orjson.loads(answer.body), self.change(answer.headers)

    async def _on_the_way(self) -> None:
        for _ in range(self.chance.randrange(12)):
            await asyncio.sleep(0)
        if self.chance.random() < 0.05:
            self.lost += 1
            raise AwsError("dynamodb.scan", ErrorMeaning(Meaning.UNAVAILABLE), "", "no answer")


class FarOrders(Orders):
    """The table of that server: changes are read from its stream, items over the network."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        super().__init__(clock)
        self.server = server
        self.splits = 0
        server.meanwhile = self._change_old
        self._items = FarItems(AFAR, [App("shop").table("orders", pk="id")])
        self._read: dict[str, int] = {}
        for number in range(OLD):
            self.put(f"p{number:02d}", "NL", number)
        self._take()
        for records in self.unsettled.values():
            records.clear()

    def place(self, name: str) -> str:
        """The key of an item as rows have it."""
        return self.server.engine.schema("orders").locate_key({"id": {"S": name}}).key_bytes.hex()

    def write(self, key: str, country: str | None, total: int = 1) -> None:
        """A change of an item, or of an old one; now and then a shard splits, and the server's clock goes
        on.
        """
        engine, chance = self.server.engine, self.server.chance
        name = key if chance.random() < 0.5 else f"p{chance.randrange(OLD):02d}"
        if country is None:
            self.items.pop(name, None)
            engine.delete(Delete("orders", {"id": {"S": name}}))
        else:
            self.put(name, country, total)
        self.server.clock.advance(chance.randrange(3))
        if chance.random() < 0.04 and self.splits < 4:
            self.splits += 1
            engine.split_shards("orders")
        engine.committer.flush()
        self._take()

    def _change_old(self) -> None:
        self.write(f"p{self.server.chance.randrange(OLD):02d}", self.server.chance.choice(("FR", None)), 5)

    def put(self, name: str, country: str, total: int) -> None:
        """An item, at the server."""
        self.items[name] = {"id": {"S": name}, "country": {"S": country}, "total": {"N": str(total)}}
        self.server.engine.put(Put("orders", dict(self.items[name])))
        self.server.engine.committer.flush()

    def _take(self) -> None:
        """What the stream has now, in the numbers of its wire."""
        engine = self.server.engine
        for shard in engine.shards_of(engine.stream_of("orders").arn):
            page = engine.log.read(shard, self._read.get(shard.shard_id, 0), 1_000)
            for record in page.records:
                self._read[shard.shard_id] = record.sequence
                number = TAILRACE.number(SequenceNumber(record.sequence).wire)
                self.last = max(self.last, number)
                key = orjson.loads(record.keys)["id"]["S"]
                self.unsettled[ord(key[-1]) % 2].append(replace(record, sequence=number))

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items, over the network."""
        await self.clock.sleep_until(self.clock.now().monotonic_ms + self.page_ms)
        return await self._items.page(table, after, limit, segment)


def checked(seed: int, change: Callable[[Server], None] = lambda _: None) -> tuple[Server, FarOrders]:
    """One run by chance. Raises: AssertionError unless one build is left, and is what the table says."""
    server = Server(seed)
    change(server)
    seen: list[FarOrders] = []

    async def story(workshop: Workshop) -> None:
        workshop.orders = orders = FarOrders(server, workshop.clock)
        seen.append(orders)
        await by_chance(workshop, seed, projected())
        await workshop.check()
        (build,) = (await workshop.known()).builds
        assert build.position > 10**21, "the numbers are the server's"

    with mock.patch.object(client, "answer_of", server.answer_of):
        told(story, seed)
    return server, seen[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_build_that_is_left_is_what_the_table_says(seed: int) -> None:
    checked(seed)


def test_the_runs_by_chance_see_what_they_are_for() -> None:
    runs = [checked(seed) for seed in range(6)]
    assert sum(server.pages for server, _ in runs) > 100
    assert sum(server.overtaken for server, _ in runs) > 10
    assert sum(server.lost for server, _ in runs) > 5
    assert sum(orders.splits for _, orders in runs) > 3


def is_found_out(change: Callable[[Server], None]) -> bool:
    """Whether some seed finds it out."""
    for seed in SEEDS:
        try:
            checked(seed, change)
        except AssertionError:
            return True
    return False


def test_a_position_that_is_told_when_the_answer_arrives_is_found_out() -> None:
    def change(server: Server) -> None:
        server.change = lambda headers: {
            **headers, POSITION_HEADER: position_value(server.engine.last_sequence)
        }  # fmt: skip

    assert is_found_out(change)


def test_a_position_behind_the_page_s_is_found_out() -> None:
    """As if a page had been read in slices, and its position taken at the end of them."""

    def change(server: Server) -> None:
        execute = server.door.call

        def call(headers: Mapping[str, Any], body: bytes, query: str = "") -> Any:
            answer = execute(headers, body, query)
            told_position = position_value(server.engine.last_sequence + (1 << 40))
            return answer._replace(headers={**answer.headers, POSITION_HEADER: told_position})

        server.door.call = call  # type: ignore[method-assign]

    assert is_found_out(change)


def test_a_page_that_is_not_wholly_applied_before_it_is_saved_is_found_out() -> None:
    apply_calmly = from_table.apply_calmly
    pages = iter(range(1_000_000))

    async def in_part(store: Any, fold: Any, steps: Any, clock: Any) -> Any:
        return await apply_calmly(store, fold, steps[1:] if next(pages) % 7 == 3 else steps, clock)

    with mock.patch.object(from_table, "apply_calmly", in_part):
        assert is_found_out(lambda _: None)
