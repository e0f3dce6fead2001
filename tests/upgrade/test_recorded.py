"""Data directories that older versions recorded go on with this one, and nothing of them is lost.

Rules of this file: the recordings (record.py) are never made again; what is asked of them is
going_on.py's. Each is opened at its own time, so that the day on which a test runs does not matter, and
more than a day later.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.compose import EngineOptions, open_engine, running_worker
from tailrace.engine.query import ScanRequest
from tailrace.engine.settings import EngineSettings
from tailrace.ports import Commit
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tests.patience import PATIENCE_S
from tests.upgrade.going_on import (
    Recording,
    complaints,
    finished,
    noted,
    opened,
    recording,
    rows_of,
    without,
)
from tests.upgrade.shop import NOTES, Notes, shop

NAMES = ("before-ground", "before-mend")
LATER_MS = 30 * 3_600_000


@pytest.fixture(params=NAMES)
def recorded(request: pytest.FixtureRequest) -> Recording:
    return recording(request.param)


@pytest.fixture
def content(recorded: Recording, tmp_path: Path) -> MemoryStore:
    return rows_of(recorded.lay(tmp_path / "data"))


def test_everything_has_one_end(recorded: Recording, content: MemoryStore) -> None:
    with opened(content, noted(recorded), recorded.wall_ms) as here:
        here.start()
        here.go_on()
        assert complaints(recorded, here) == []


def test_every_region_and_account_sees_the_tables_that_there_were(
    recorded: Recording, tmp_path: Path
) -> None:
    directory = recorded.lay(tmp_path / "data")
    for settings in (EngineSettings(region="eu-west-1"), EngineSettings()):
        options = EngineOptions(directory, clock="manual", clock_start_ms=recorded.wall_ms, settings=settings)
        engine = open_engine(options)
        try:
            assert engine.settings.one_namespace
            tables = engine.list_tables()["TableNames"]
            assert tables
            seen = engine.of("ap-south-1", "123456789012")
            assert seen.list_tables()["TableNames"] == tables
            arn = seen.describe_table(tables[0])["TableArn"]
            assert arn == f"arn:aws:dynamodb:us-east-1:000000000000:table/{tables[0]}"
            seen.create_table(TableDefinition(f"more-{settings.region}", "pk", "S"))
        finally:
            engine.close()


def test_everything_has_one_end_more_than_a_day_later(recorded: Recording, content: MemoryStore) -> None:
    with opened(content, noted(recorded), recorded.wall_ms + LATER_MS) as here:
        here.start()
        here.go_on()
        assert complaints(recorded, here) == []


def test_it_may_stop_and_start_on_the_way(recorded: Recording, content: MemoryStore) -> None:
    with opened(content, noted(recorded), recorded.wall_ms) as here:
        before = len(NOTES.handled["ship"])
        for pause in ("0s", "1s", "10s"):
            here.start()
            here.world.advance(pause)
            here.world.kill()
        here.start()
        here.go_on()
        assert len(NOTES.handled["ship"]) > before
        assert complaints(recorded, here, since(recorded)) == []


def since(recorded: Recording) -> set[str]:
    """What was handled with this version."""
    return {
        event
        for handler, events in NOTES.handled.items()
        for event in events[len(recorded.known["handled"].get(handler, ())) :]
    }


class Crash:
    """A kill of the process right after one of its commits: what was durable then, and
    what handlers had done.
    """

    def __init__(self, after: int) -> None:
        self.left = after
        self.content: MemoryStore | None = None
        self.notes = Notes()
        self.count = 0

    def watch(self, store: MemoryStore) -> None:
        """Copy a store at that commit."""
        commit = store.commit

        def counted(given: Commit) -> None:
            commit(given)
            self.count += 1
            if self.count == self.left:
                self.content, self.notes = store.copy(), deepcopy(NOTES)

        store.commit = counted  # type: ignore[method-assign]


@pytest.mark.parametrize("after", [1, 2, 3, 5, 8, 13, 30])
def test_a_crash_at_its_first_commits_ends_the_same(
    recorded: Recording, content: MemoryStore, after: int
) -> None:
    crash = Crash(after)
    with opened(content, noted(recorded), recorded.wall_ms) as here:
        crash.watch(here.world._store)
        here.start()
        here.world.advance("1m")
    assert crash.content is not None, f"there were only {crash.count} commits"
    with opened(crash.content, crash.notes, recorded.wall_ms) as here:
        again = since(recorded)
        here.start()
        here.go_on()
        assert complaints(recorded, here, again) == []


LOSSES: dict[str, Callable[[MemoryStore], None]] = {
    "heads": without("head/shop/charge/"),
    "parked changes": without("parked/shop/charge/"),
    "checkpoints": without("checkpoint/shop/stuck/"),
    "checkpoints of a handler with marks": without("checkpoint/shop/ship/"),
    "dead letters": without("deadletter/shop/mail/"),
    "dead letters of a lane": without("deadletter/shop/lane/"),
    "marks": without("mark/shop.ship/"),
    "open windows": without("window-member/shop/hourly/"),
    "items of a build": without("projection-item/shop/sales@v2/"),
    "a mapping of Lambda's API": without("esm/"),
    "a pause": without("pause/"),
    "a redrive": without("redrive/"),
    "notices": without("outbox/"),
    "gaps": without("ledger/shop/charge/"),
    "unread changes": finished("checkpoint/shop/late/"),
    "evacuated changes": without("evacuated/shop/late/"),
}
"""What an upgrade might lose."""


@pytest.mark.parametrize("loss", LOSSES)
def test_an_upgrade_that_loses_something_is_found(loss: str, tmp_path: Path) -> None:
    recorded = recording("before-mend" if loss == "gaps" else "before-ground")
    content = rows_of(recorded.lay(tmp_path / "data"))
    LOSSES[loss](content)
    with opened(content, noted(recorded), recorded.wall_ms) as here:
        here.start()
        here.go_on()
        assert complaints(recorded, here) != []


def test_the_files_themselves_go_on_and_are_opened_again(recorded: Recording, tmp_path: Path) -> None:
    """In a process of its own loop, with its store on the disk: what the test world leaves out."""
    options = EngineOptions(recorded.lay(tmp_path / "data"), clock="manual", clock_start_ms=recorded.wall_ms)
    notes = noted(recorded)
    NOTES.handled, NOTES.broken, NOTES.told = notes.handled, notes.broken, notes.told
    wanted = {change["event_id"] for change in recorded.changes} & recorded.unsaved

    async def go_on() -> dict[str, int]:
        async with running_worker(shop(NOTES, version=2), options) as engine, asyncio.timeout(PATIENCE_S):
            assert isinstance(engine.clock, ManualClock)
            while not wanted <= set(NOTES.handled["ship"]) or engine.committer.is_dirty:
                engine.clock.advance(10)
                await asyncio.sleep(0)
        return stock()

    def stock() -> dict[str, int]:
        engine = open_engine(options)
        try:
            items = engine.scan(ScanRequest("stock")).decoded()
        finally:
            engine.close()
        return {item["id"]["S"]: int(item["n"]["N"]) for item in items}

    handled = Counter(change["key"] for change in recorded.changes if change["event_id"] in wanted)
    first = asyncio.run(go_on())
    assert {key: first[key] for key in handled if key.startswith("n")} == {
        key: 1 for key in handled if key.startswith("n")
    }
    assert asyncio.run(go_on()) == first, "nothing was applied again"
