"""Pages of a table's items: each as of an exact sequence number, all of them once, only what is durable."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tailrace.errors import SourceError
from tailrace.sources.embedded import EmbeddedItems
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tests.unit.engine.building import opened


def test_an_item_holds_every_change_up_to_its_page_s_position() -> None:
    engine = opened(MemoryStore())
    engine.create_table(TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES"))
    flushed: list[int] = []

    async def flush() -> None:
        engine.committer.flush()
        flushed.append(engine.last_sequence)

    async def main() -> None:
        items = EmbeddedItems(engine, flush)
        for number in range(5):
            engine.put(Put("orders", {"id": {"S": f"o{number}"}, "n": {"N": "0"}}))
        pages: dict[str, tuple[str, int]] = {}
        after: Mapping[str, Any] | None = None
        for _ in range(3):
            page = await items.page("orders", after, 2)
            assert not engine.committer.is_dirty
            for key, keys, image in page.items:
                assert image["id"] == keys["id"]
                assert image["id"]["S"].encode() in bytes.fromhex(key)
                pages[image["id"]["S"]] = (image["n"]["N"], page.position)
            after = page.after
            # Between two pages everything changes: what was read does not, and what is read later has the new
            # value.
            for number in range(5):
                engine.put(Put("orders", {"id": {"S": f"o{number}"}, "n": {"N": str(page.position)}}))
        assert len(pages) == 5
        assert flushed
        shards = engine.shards_of(engine.stream_of("orders").arn)
        engine.committer.flush()
        records = [record for shard in shards for record in engine.log.read(shard, 0, 100).records]
        for name, (value, position) in pages.items():
            mine = [
                record for record in records if name.encode() in record.keys and record.sequence <= position
            ]
            assert mine[-1].new is not None
            assert f'"N":"{value}"'.encode() in mine[-1].new

    asyncio.run(main())


def test_a_table_that_is_not_there_is_a_failing_source() -> None:
    engine = opened(MemoryStore())

    async def flush() -> None: ...

    with pytest.raises(SourceError, match="table 'nothing': Requested resource not found"):
        asyncio.run(EmbeddedItems(engine, flush).page("nothing", None, 1))
