"""The composition root: what it opens, loads and joins."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.clocks.manual import ManualClock
from tailrace.compose import (
    EngineOptions,
    Node,
    create_tables,
    open_engine,
    running_worker,
)
from tailrace.errors import SettingsError, StoreError
from tailrace.runtime.threads import at_work
from tailrace.server.crash_points import crash_points
from tailrace.server.http import HttpSettings
from tailrace.tables.mutate import Put
from tailrace.telemetry import POINTS
from tests.patience import PATIENCE_S
from tests.started.tests_stay_on_loopback import python_path

APP = """
from tailrace import App
app = App("loaded")
orders = app.table("orders", pk="id")
@app.on(orders)
def note(change): ...
"""


def test_without_a_directory_an_engine_lives_in_memory() -> None:
    engine = open_engine(EngineOptions(clock="manual", clock_start_ms=5))
    assert engine.directory is None
    assert isinstance(engine.clock, ManualClock)
    assert engine.clock.now().wall_ms == 5
    engine.close()


def test_a_directory_has_one_owner_and_is_given_back(tmp_path: Path) -> None:
    engine = open_engine(EngineOptions(tmp_path / "data"))
    with pytest.raises(StoreError, match="in use"):
        open_engine(EngineOptions(tmp_path / "data"))
    engine.close()
    engine.close()
    open_engine(EngineOptions(tmp_path / "data")).close()


def test_an_engine_that_cannot_be_opened_gives_the_directory_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    open_engine(EngineOptions(folder)).close()
    (folder / "tailrace.db").write_bytes(b"this is no database" * 1_000)
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            open_engine(EngineOptions(folder))
        assert "in use" not in str(caught.value)


# ---- crash points ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", ["nowhere:1", "commit.done", "commit.done:0", "commit.done:x", ":1"])
def test_a_plan_that_names_no_point_is_refused(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_CRASH_AT", plan)
    with pytest.raises(SettingsError, match="TAILRACE_CRASH_AT"):
        crash_points()


def test_without_a_plan_every_point_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILRACE_CRASH_AT", raising=False)
    reached = crash_points()
    for point in POINTS:
        reached(point)


def test_the_process_is_killed_at_that_passing_of_that_point() -> None:
    program = (
        "from tailrace.server.crash_points import crash_points\n"
        "reached = crash_points()\n"
        "for number in range(5):\n"
        "    reached('invoke.done'); print(number, flush=True); reached('commit.done')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"TAILRACE_CRASH_AT": "commit.done:3", "PATH": "", "PYTHONPATH": python_path()},
    )
    assert (ran.returncode, ran.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])


# ---- applications ------------------------------------------------------------------------------------------


def test_tables_are_made_once_also_beside_more_than_a_page_of_others() -> None:
    engine = open_engine(EngineOptions(clock="manual"))
    app = App("many")
    for number in range(120):
        app.table(f"table-{number:03d}", pk="id")
    create_tables(app, engine)
    create_tables(app, engine)
    engine.close()


# ---- processes ---------------------------------------------------------------------------------------------


def counting_app(seen: list[str]) -> App:
    """An app whose handler notes keys and writes an effect."""
    app = App("counting")
    orders = app.table("orders", pk="id")
    app.table("effects", pk="id", stream=None)

    @app.on(orders)
    def note(change: Change) -> None:
        seen.append(change.key)
        change.transaction.update("effects", {"id": "all"}, "ADD n :one", values={":one": 1})

    return app


async def until(condition: Any) -> None:
    """Give the loop back until something holds; the test's own time-out ends what never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_worker_handles_drains_and_goes_on_after_a_restart(sync: Any, tmp_path: Path) -> None:
    seen: list[str] = []
    options = EngineOptions(tmp_path / "data", sync=sync)

    async def life(keys: str) -> Any:
        before = len(seen)
        async with running_worker(counting_app(seen), options) as engine:
            for key in keys:
                engine.put(Put("orders", {"id": {"S": key}}))
            engine.committer.flush()
            await until(lambda: len(seen) == before + len(keys))
        return None

    asyncio.run(life("abc"))
    asyncio.run(life("de"))
    assert seen == list("abcde"), "nothing is repeated after a drain"
    engine = open_engine(options)
    assert engine.get("effects", {"id": {"S": "all"}}) == {"id": {"S": "all"}, "n": {"N": "5"}}
    engine.close()


def test_a_node_serves_works_reloads_and_stops_cleanly(tmp_path: Path) -> None:
    first: list[str] = []
    second: list[str] = []

    async def main() -> None:
        node = Node(EngineOptions(tmp_path / "data"), HttpSettings(port=0), counting_app(first))
        port = await node.start()
        assert port > 0
        node.engine.put(Put("orders", {"id": {"S": "a"}}))
        node.engine.committer.flush()
        await until(lambda: first == ["a"])
        await node.replace_app(counting_app(second))
        node.engine.put(Put("orders", {"id": {"S": "b"}}))
        node.engine.committer.flush()
        await until(lambda: second == ["b"])
        await node.stop()
        await node.stop()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []

    asyncio.run(main())
    assert (first, second) == (["a"], ["b"])
    open_engine(EngineOptions(tmp_path / "data")).close()


def test_a_reload_that_is_refused_leaves_the_old_app_running(tmp_path: Path) -> None:
    seen: list[str] = []
    renamed = App("counting")
    renamed.on(renamed.table("orders", pk="id"), id="another")(lambda change: None)

    async def main() -> None:
        node = Node(EngineOptions(), HttpSettings(port=0), counting_app(seen))
        await node.start()
        with pytest.raises(SettingsError, match="no longer declares"):
            await node.replace_app(renamed)
        node.engine.put(Put("orders", {"id": {"S": "a"}}))
        node.engine.committer.flush()
        await until(lambda: seen == ["a"])
        await node.stop()

    asyncio.run(main())


@pytest.mark.parametrize("form", ["a thread", "a coroutine"])
def test_a_reload_leaves_a_handler_behind_that_does_not_end(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    begun, release = threading.Event(), threading.Event()
    hanging, name = App("counting"), counting_app(seen).mappings[0].id
    hanging.table("effects", pk="id", stream=None)
    orders = hanging.table("orders", pk="id")
    if form == "a thread":

        @hanging.on(orders, id=name)
        def hang(change: Change[Any]) -> None:
            begun.set()
            release.wait(PATIENCE_S)
    else:

        @hanging.on(orders, id=name)
        async def hang_on(change: Change[Any]) -> None:
            begun.set()
            while not release.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)

    async def main() -> None:
        node = Node(EngineOptions(), HttpSettings(port=0), hanging, drain_s=0.05)
        await node.start()
        node.engine.put(Put("orders", {"id": {"S": "a"}}))
        node.engine.committer.flush()
        await until(begun.is_set)
        await node.replace_app(counting_app(seen))
        await until(lambda: seen == ["a"])
        release.set()
        await until(lambda: at_work() == [])
        assert await node.stop() == []

    async def released() -> None:
        try:
            await main()
        finally:
            release.set()

    asyncio.run(released())
    assert f"left behind by the reload: {name} in shardId-" in caplog.text
    assert "is still at work on orders/a" in caplog.text


def test_a_node_that_cannot_start_gives_everything_back(tmp_path: Path) -> None:
    options = EngineOptions(tmp_path / "data")
    other = App("other")
    other.table("orders", pk="different")

    async def main() -> None:
        with pytest.raises(SettingsError, match="another key"):
            await Node(options, HttpSettings(port=0), other).start()

    engine = open_engine(options)
    create_tables(counting_app([]), engine)
    engine.close()
    asyncio.run(main())
    open_engine(options).close()


def test_a_table_lets_its_items_expire_by_the_attribute_that_the_app_declares() -> None:
    engine = open_engine(EngineOptions())
    try:
        app = App("shop")
        app.table("shop", pk="pk", ttl="expires_at")
        for _ in range(2):  # the second time it is there already
            create_tables(app, engine)
        assert engine.time_to_live.describe("shop") == {
            "TimeToLiveStatus": "ENABLED",
            "AttributeName": "expires_at",
        }
        other = App("shop")
        other.table("shop", pk="pk", ttl="ends")
        with pytest.raises(SettingsError, match=r"TTL attribute 'expires_at' instead of 'ends'"):
            create_tables(other, engine)
    finally:
        engine.close()
