"""A seed replays in any process: whatever its hash seed, its time zone, and what ran in it before."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace import App, Window
from tailrace.testing import SeededLoop, World
from tests.unit.testing.test_plugin import APP, pytest_in

ROOT = Path(tailrace.__file__).parents[2]


def replayed(*seeds: int, **environment: str) -> dict[str, str]:
    """What happens in the worlds of these seeds, one after the other in a process of their own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.testing.replayed", *map(str, seeds)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(line.split() for line in ran.stdout.splitlines())


def test_a_seed_replays_in_every_process_whatever_its_hash_seed_and_time_zone() -> None:
    first = replayed(5, 10, PYTHONHASHSEED="1", TZ="UTC")
    second = replayed(6, 10, 5, PYTHONHASHSEED="2", TZ="Asia/Tokyo")
    assert {seed: second[seed] for seed in first} == first


def test_tasks_that_end_together_end_in_an_order_that_no_address_in_memory_decides() -> None:
    def order(seed: int) -> list[int]:
        loop = SeededLoop(seed)
        ended: list[int] = []

        async def wait(number: int) -> None:
            try:
                await loop.create_future()
            finally:
                ended.append(number)

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError("all end")

        async def main() -> None:
            async with asyncio.TaskGroup() as tasks:
                for number in range(40):
                    tasks.create_task(wait(number))
                tasks.create_task(fail())

        with pytest.raises(ExceptionGroup):
            loop.run_until_complete(main())
        loop.close()
        return ended

    kept: list[Any] = []
    expected = order(3)
    for count in range(30):
        kept.append([object() for _ in range(count * 7)])  # other addresses
        assert order(3) == expected
    assert order(4) != expected


def test_a_failure_says_that_the_sets_of_a_handler_may_have_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = APP + "def test_fails(world):\n    assert world.seed == 123\n"
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    _, output = pytest_in(tmp_path, text)
    assert "PYTHONHASHSEED is not set" in output
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    _, output = pytest_in(tmp_path, text)
    assert "replay: PYTHONHASHSEED=7 pytest test_it.py::test_fails --tailrace-seed" in output


def test_looking_for_windows_to_forget_asks_only_of_days_that_have_some() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.window(orders, every="1m", at="at", keep="1h", id="minutes")
    def minutes(window: Window[Any]) -> None: ...

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", "at": world.moment.isoformat()})
        world.settle()
        assert world.engine.state.count("window-day/") > 0
        world.advance("72h")
        assert world.engine.state.count("window-day/") == 0, "the first day is forgotten"
        world.restart()
        asked: list[str] = []
        query = world.engine.state.query

        def counting(prefix: str, *more: Any) -> Any:
            asked.append(prefix)
            return query(prefix, *more)

        world.engine.state.query = counting  # type: ignore[method-assign]
        world.advance("2h")
        assert 0 < len(asked) < 1_000
