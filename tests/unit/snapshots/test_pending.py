"""Whether a mapping has settled anything: only then may the rows of a scan be older than every change."""

import asyncio
from collections.abc import Mapping

import pytest

from tailrace.deadletters.core.entry import deadletter_fields, deadletter_key
from tailrace.engine.state import EngineStateStore
from tailrace.leases.checkpoint import CheckpointRow, Ledger, checkpoint_key
from tailrace.rows.writes import ALWAYS, Write
from tailrace.snapshots.run.pending import has_settled
from tailrace.stores.memory import MemoryStore
from tests.unit.deadletters.test_redrive import letter
from tests.unit.engine.building import opened


def answer(*writes: Write) -> bool:
    engine = opened(MemoryStore())

    async def story() -> bool:
        async def flushed() -> None:
            engine.committer.flush()

        state = EngineStateStore(engine, flushed)
        for write in writes:
            await state.transact([write])
        return await has_settled(state, "shop", "mirror")

    return asyncio.run(story())


def checkpoint(totals: Mapping[str, int], mapping_id: str = "mirror") -> Write:
    row = CheckpointRow(epoch=3, watermark=70, ledger=Ledger(totals))
    return Write(checkpoint_key("shop", mapping_id, "label", "shard"), row.fields(), ALWAYS)


def test_a_mapping_that_has_only_begun_has_settled_nothing() -> None:
    assert not answer()
    assert not answer(checkpoint({}))
    assert not answer(checkpoint({"trimmed": 2, "handled": 0})), "what was lost cannot come again"
    assert not answer(checkpoint({"handled": 1}, "another"))


@pytest.mark.parametrize("outcome", ["handled", "filtered", "discarded", "parked", "dropped"])
def test_whatever_came_of_one_change_it_is_settled(outcome: str) -> None:
    assert answer(checkpoint({outcome: 1}))


def test_a_change_that_may_be_put_back_was_settled_although_its_shard_is_forgotten() -> None:
    kept = letter()
    key = deadletter_key("shop", "mirror", kept.record.version)
    assert answer(Write(key, deadletter_fields(kept), ALWAYS))
