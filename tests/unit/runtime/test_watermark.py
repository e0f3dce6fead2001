"""The low watermark of a handler: every change made before it is settled, whatever sequence numbers say.

Rules of this file: an engine in memory; what a worker would have saved is written by hand.
"""

import pytest

from tailrace.api.lambdas.mappings import EventSourceMapping
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.state import state_of
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.rows.writes import Write
from tailrace.runtime import watermark
from tailrace.runtime.watermark import LAMBDA_APP, MappingName
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tailrace.views.at_once import at_once
from tests.unit.server.admin import START_MS, Ground


def settled_until(engine: Engine, mapping: MappingName) -> int:
    return at_once(watermark.settled_until(state_of(engine), EmbeddedLog(engine), engine.clock, mapping))


def oldest_of(engine: Engine, mapping: MappingName) -> int | None:
    return at_once(watermark.oldest_of(state_of(engine), EmbeddedLog(engine), mapping))


def followed(engine: Engine, mapping: MappingName) -> list[StreamRef]:
    return at_once(watermark.followed(state_of(engine), EmbeddedLog(engine), mapping))


MAIL = MappingName("app", "mail", "shop")


def test_where_nothing_is_open_everything_before_the_present_is_settled() -> None:
    ground = Ground()
    assert settled_until(ground.engine, MAIL) == START_MS + 1_000
    ground.put("o1")
    ground.settle("mail", ground.records()[-1].sequence)
    ground.clock.advance(60_000)
    assert settled_until(ground.engine, MAIL) == START_MS + 61_000


def test_a_change_that_waits_holds_the_watermark_at_the_time_at_which_it_was_made() -> None:
    ground = Ground(shards=4)
    for name in "abcdefgh":
        ground.put(name)
        ground.clock.advance(1_000)
    ground.clock.advance(60_000)
    assert settled_until(ground.engine, MAIL) == START_MS + 1_000
    first, *_ = ground.engine.log.read(ground.shards()[0], 0, 100).records
    ground.settle("mail", ground.engine.last_sequence)
    others = [
        r.created_ms for shard in ground.shards()[1:] for r in ground.engine.log.read(shard, 0, 100).records
    ]
    assert settled_until(ground.engine, MAIL) == min(others)
    assert min(others) != first.created_ms


def test_the_watermark_is_a_time_also_after_a_restart_where_numbers_run_ahead() -> None:
    ground = Ground()
    ground.put("o1")
    ground.settle("mail", ground.records()[-1].sequence)
    ground.engine = Engine(ground.engine.committer.store, ground.clock, EngineSettings())
    ground.clock.advance(1_000)
    ground.put("o2")
    ground.clock.advance(600_000)
    assert settled_until(ground.engine, MAIL) == START_MS + 2_000


def test_what_is_written_and_not_durable_yet_is_not_settled() -> None:
    ground = Ground()
    made_ms = ground.clock.now().wall_ms
    ground.engine.put(Put("shop", {"pk": {"S": "o1"}}))
    ground.clock.advance(5_000)
    assert settled_until(ground.engine, MAIL) == made_ms
    commit = ground.engine.committer.begin_flush()
    assert commit is not None
    assert settled_until(ground.engine, MAIL) == made_ms
    ground.engine.committer.write(commit)
    ground.engine.committer.finish_flush()
    ground.settle("mail", ground.records()[-1].sequence)
    assert settled_until(ground.engine, MAIL) == made_ms + 5_000


def test_a_mapping_of_lambdas_api_is_behind_in_its_own_stream_alone() -> None:
    ground = Ground()
    own = ground.engine.stream_of("shop")
    esm = EventSourceMapping("u-1", "fn", own.arn, "shop", "TRIM_HORIZON", True, {}, 1)
    ground.engine.state.transact([Write(esm.key, esm.fields())])
    mapping = MappingName(LAMBDA_APP, "u-1", "shop")
    assert oldest_of(ground.engine, mapping) is None
    ground.put("o1")
    assert oldest_of(ground.engine, mapping) is not None
    ground.engine.delete_table("shop")
    ground.engine.create_table(TableDefinition("shop", "pk", "S", stream="NEW_AND_OLD_IMAGES"))
    ground.engine.committer.flush()
    ground.put("o2")
    assert [stream.arn for stream in followed(ground.engine, mapping)] == [own.arn]
    assert followed(ground.engine, MappingName(LAMBDA_APP, "gone", "shop")) == []
    ground.clock.advance(25 * 3_600_000)
    assert followed(ground.engine, mapping) == []


def test_the_log_is_asked_of_the_first_alone_of_shards_that_wait_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ground = Ground()
    first_ms = ground.clock.now().wall_ms
    ground.put("o1")
    for number in range(3):
        ground.engine.split_shards("shop", ground.shards()[-1].shard_id)
        ground.clock.advance(1_000)
        ground.put(f"o{number + 2}")
    asked: list[str] = []
    read = EmbeddedLog.read

    async def asking(log: EmbeddedLog, shard: Shard, after: int, limit: int) -> ReadDone:
        asked.append(shard.shard_id)
        return await read(log, shard, after, limit)

    monkeypatch.setattr(EmbeddedLog, "read", asking)
    first, *later = ground.shards()
    assert settled_until(ground.engine, MAIL) == first_ms
    assert asked == [first.shard_id]
    ground.settle("mail", ground.engine.last_sequence)
    assert settled_until(ground.engine, MAIL) == first_ms + 1_000
    assert len(later) > 3
    assert set(asked) > {first.shard_id}
