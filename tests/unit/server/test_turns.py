"""A group too heavy to be written on the loop is written beside it: the loop goes on, and answers wait for
what they tell.
"""

import asyncio
import threading
from pathlib import Path

import pytest

from tailrace.compose import EngineOptions, OpenEngine, open_engine
from tailrace.engine.committer import HEAVY_BYTES
from tailrace.server.turns import Turns
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tests.patience import PATIENCE_S

LARGE = {"S": "x" * 390_000}


class Answers:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def take(self) -> list[bytes]:
        """One answer."""
        return [b"answer"]

    def send(self, answers: list[bytes], *, failed: bool) -> None:
        """It may leave now."""
        assert answers == [b"answer"]
        self.told.append(failed)


class Gate:
    """Holds the threads that write at a point, until it is opened. Shape: `threads` are those that passed."""

    def __init__(self) -> None:
        self.arrived, self.opened = threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []
        self.is_broken = False

    def reached(self, point: str) -> None:
        """A point of the engine."""
        if point == "commit.written":
            self.threads.append(threading.current_thread())
            if threading.current_thread() is not threading.main_thread():
                self.arrived.set()
                assert self.opened.wait(PATIENCE_S)
            if self.is_broken:
                raise OSError("the disk is gone")


def put_many(engine: OpenEngine, count: int) -> None:
    for number in range(count):
        engine.put(Put("things", {"pk": {"S": f"item {number}"}, "large": LARGE}))


async def arrived(gate: Gate) -> None:
    while not gate.arrived.is_set():
        await asyncio.sleep(0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def engine(tmp_path: Path, gate: Gate) -> OpenEngine:
    opened = open_engine(EngineOptions(tmp_path / "data"), gate.reached)
    opened.create_table(TableDefinition("things", "pk", "S"))
    opened.committer.flush()
    return opened


def test_a_heavy_group_is_written_beside_the_loop_and_its_answers_wait(
    engine: OpenEngine, gate: Gate
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        engine.share_reads(loop)
        turns, answers, later = Turns(engine, loop), Answers(), Answers()
        put_many(engine, 8)
        turns.add(answers)
        await arrived(gate)
        store, number = engine.committer.store, engine.schema("things").number
        assert engine.get("things", {"pk": {"S": "item 3"}}) is not None, "what is written is read"
        assert store.query(number, b"", None, 100) == [], "and stands in the file when all of it does"
        turns.add(later)
        await asyncio.sleep(0)
        assert (answers.told, later.told) == ([], [])
        gate.opened.set()
        await turns.settle()
        assert (answers.told, later.told) == ([False], [False])
        assert len(store.query(number, b"", None, 100)) == 8
        turns.close()

    asyncio.run(run())
    assert gate.threads[-1] is not threading.main_thread()
    engine.close()


def test_a_light_group_is_written_on_the_loop(engine: OpenEngine, gate: Gate) -> None:
    async def run() -> None:
        turns, answers = Turns(engine, asyncio.get_running_loop()), Answers()
        put_many(engine, HEAVY_BYTES // (2 * 390_000) - 1)
        turns.add(answers)
        await turns.settle()
        assert answers.told == [False]

    asyncio.run(run())
    assert set(gate.threads) == {threading.main_thread()}
    engine.close()


def test_a_heavy_group_that_cannot_be_written_is_answered_so_and_leaves_nothing(
    engine: OpenEngine, gate: Gate
) -> None:
    async def run() -> None:
        turns, answers = Turns(engine, asyncio.get_running_loop()), Answers()
        gate.is_broken = True
        gate.opened.set()
        put_many(engine, 8)
        turns.add(answers)
        await turns.settle()
        assert answers.told == [True]
        gate.is_broken = False
        assert engine.get("things", {"pk": {"S": "item 3"}}) is None
        put_many(engine, 1)
        turns.add(answers)
        await turns.settle()
        assert answers.told == [True, False]
        turns.close()

    asyncio.run(run())
    engine.close()
