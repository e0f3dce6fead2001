"""The verbs of streams: what they answer is what the log says, and a page is small."""

import json
from typing import Any

import msgspec
import pytest

from tailrace.errors import TailraceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.server.control import Subject
from tailrace.server.log_verbs import cut, read, shards, streams
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import World


def text_of(value: object) -> str:
    return msgspec.json.encode(value).decode()


@pytest.fixture
def world() -> Any:
    from tailrace import App

    app = App("shop")
    orders = app.table("orders", pk="id")
    with World(app, seed=1) as world:
        for number in range(5):
            world.put(orders, {"id": f"o{number}", "b": b"\x00\xff", "n": number})
        yield world


def told(world: World, answer: Any) -> Any:
    return json.loads(json.dumps(world._run(answer)))


def test_every_value_goes_over_the_socket_and_back(world: World) -> None:
    log, subject = EmbeddedLog(world.engine), Subject(world.engine, world.clock)
    (stream,) = msgspec.json.decode(told(world, streams(subject, {"table": "orders"})), type=list[StreamRef])
    assert [stream] == world._run(log.streams("orders"))
    listed = msgspec.json.decode(told(world, shards(subject, {"stream": text_of(stream)})), type=list[Shard])
    assert listed == world._run(log.shards(stream))
    asked = {"shard": text_of(listed[0]), "after": 0, "limit": 3}
    page = msgspec.json.decode(told(world, read(subject, asked)), type=ReadDone)
    assert page == world._run(log.read(listed[0], 0, 3))
    assert len(page.records) == 3


def test_a_page_has_as_many_bytes_as_the_bound_and_at_least_one_record(world: World) -> None:
    log = EmbeddedLog(world.engine)
    (stream,) = world._run(log.streams("orders"))
    (shard,) = world._run(log.shards(stream))
    page = world._run(log.read(shard, 0, 100))
    sizes = [record.size_bytes for record in page.records]
    assert cut(page, sum(sizes)) == page
    less = cut(page, sum(sizes) - 1)
    assert (less.records, less.next_after) == (page.records[:-1], page.records[-2].sequence)
    assert cut(page, 0).records == page.records[:1]


def test_what_is_no_shard_is_refused(world: World) -> None:
    with pytest.raises(TailraceError, match="That is no Shard"):
        world._run(read(Subject(world.engine, world.clock), {"shard": "{}", "after": 0, "limit": 1}))
