"""A page that is read as of one sequence number: whatever is written between two rests, what is in it is what
the changes up to that number leave, and nothing else.

Rules of this file: what a page must hold is folded from the log. A page that did not end where something was
written is the canary.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import orjson
import pytest

from tailrace.engine.engine import Engine, ItemPage, ScanRequest
from tailrace.engine.paging import PageAsOf, Paging
from tailrace.engine.slices import Slices
from tailrace.errors import ApiError
from tailrace.expressions.condition import parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Delete, Put
from tailrace.values.types import Item
from tests.unit.engine.building import opened

SMALL = (5_000, "x")
"""Several slices in one page."""
LARGE = (150, "x" * 20_000)
"""Several pages of one slice each, which rests while it is weighed."""


def place(engine: Engine, keys: Item) -> bytes:
    """Where an item stands in the order of a scan."""
    return engine.schema("orders").locate_key({"id": keys["id"]}).key_bytes


def change(engine: Engine, chance: Random) -> None:
    """One write, of any kind, to one of few items."""
    key = {"id": {"S": f"o{chance.randrange(40)}"}}
    if chance.random() < 0.3:
        engine.delete(Delete("orders", key))
    else:
        engine.put(Put("orders", {**key, "n": {"N": str(chance.randrange(1_000_000))}, "s": {"S": "x"}}))


def filled(rows: int = SMALL[0], text: str = SMALL[1]) -> Engine:
    engine = opened(MemoryStore())
    engine.create_table(TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES"))
    for number in range(rows):
        engine.put(Put("orders", {"id": {"S": f"o{number}"}, "n": {"N": "0"}, "s": {"S": text}}))
    engine.committer.flush()
    return engine


def as_of(engine: Engine, position: int) -> dict[bytes, Item]:
    """What the changes up to a number leave, by their places."""
    engine.committer.flush()
    items: dict[bytes, Item] = {}
    for shard in engine.shards_of(engine.stream_of("orders").arn):
        after = 0
        while records := engine.log.read(shard, after, 1_000).records:
            after = records[-1].sequence
            for record in records:
                where = place(engine, orjson.loads(record.keys))
                if record.sequence <= position:
                    items.pop(where, None)
                    if record.new is not None:
                        items[where] = orjson.loads(record.new)
    return items


def run(work: Slices[ItemPage], between: Callable[[], object]) -> tuple[ItemPage, int]:
    """The page, and how often it rested."""
    rests = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, rests
        rests += 1
        between()


def read(
    engine: Engine, between: Callable[[], object], **wanted: Any
) -> tuple[list[tuple[ItemPage, int, bytes]], int]:
    """Every page with its position and the place that it begins behind, and how often it rested in all."""
    pages: list[tuple[ItemPage, int, bytes]] = []
    start: Item | None = None
    rests = 0
    while True:
        with engine.read_as_of() as told:
            paging = engine.open(ScanRequest("orders", start=start, **wanted))
        page, rested = run(paging.slices(), between)
        rests += rested
        assert told.position is not None
        pages.append((page, told.position, b"" if start is None else place(engine, start)))
        if (start := page.last_key) is None:
            return pages, rests
        between()


def check(engine: Engine, pages: Sequence[tuple[ItemPage, int, bytes]]) -> None:
    """Raises: AssertionError unless each page is what the changes up to its position leave."""
    for page, position, first in pages:
        last = None if page.last_key is None else place(engine, page.last_key)
        wanted = [
            item
            for where, item in sorted(as_of(engine, position).items())
            if first < where and (last is None or where <= last)
        ]
        assert page.decoded() == wanted


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [SMALL, LARGE], ids=["small rows", "large rows"])
def test_whatever_is_written_between_two_rests_a_page_is_as_of_its_position(
    rows: tuple[int, str], seed: int
) -> None:
    engine, chance = filled(*rows), Random(seed)
    pages, rests = read(engine, lambda: [change(engine, chance) for _ in range(chance.randrange(4))])
    assert rests
    check(engine, pages)


def test_a_page_that_would_go_on_behind_a_write_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageAsOf, "has_passed", lambda _: False)
    engine, chance = filled(), Random(0)
    pages, _ = read(engine, lambda: [change(engine, chance) for _ in range(4)])
    with pytest.raises(AssertionError):
        check(engine, pages)


def test_a_page_goes_on_over_its_rests_while_nothing_is_written() -> None:
    engine = filled()
    pages, rests = read(engine, lambda: None)
    assert (len(pages), rests >= 2) == (1, True)
    check(engine, pages)


def test_a_filter_is_judged_as_of_the_position_too() -> None:
    engine, chance = filled(), Random(3)
    values: Item = {":n": {"N": "500000"}}
    condition = parse_condition("n < :n", Placeholders(None, values), "FilterExpression")
    pages, rests = read(engine, lambda: change(engine, chance), filter=condition)
    assert rests
    for page, position, first in pages:
        last = None if page.last_key is None else place(engine, page.last_key)
        wanted = [
            item
            for where, item in sorted(as_of(engine, position).items())
            if first < where and (last is None or where <= last) and int(item["n"]["N"]) < 500_000
        ]
        assert page.decoded() == wanted


@pytest.mark.parametrize("total", [2, 7])
def test_the_segments_of_a_parallel_scan_are_each_as_of_their_own_positions(total: int) -> None:
    engine, chance = filled(100), Random(total)
    seen: dict[str, str] = {}
    for number in range(total):
        pages, _ = read(engine, lambda: change(engine, chance), segment=(number, total))
        for page, position, _first in pages:
            state = as_of(engine, position)
            for item in page.decoded():
                assert state[place(engine, item)] == item
                assert item["id"]["S"] not in seen
                seen[item["id"]["S"]] = item["n"]["N"]


def test_a_page_that_no_position_is_asked_of_does_not_end_at_a_write() -> None:
    engine, chance = filled(), Random(1)
    paging: Paging = engine.open(ScanRequest("orders"))
    page, rests = run(paging.slices(), lambda: change(engine, chance))
    assert (page.last_key, rests >= 2) == (None, True)


def test_a_refused_page_has_no_position() -> None:
    engine = filled(1)
    with engine.read_as_of() as told, pytest.raises(ApiError):
        engine.open(ScanRequest("nowhere"))
    assert told.position is None
    assert engine.as_of is None
