"""What hangs, on real processes: it costs itself alone, and the process ends all the same, with a word about
what was left.

Rules of this file: nothing is measured in time; what is waited for has a bound only against a
test that never ends.
"""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.node import Node, free_port
from tests.patience import PATIENCE_S, eventually

TABLES = """
import asyncio, threading, time
from pathlib import Path

from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
HERE = Path(__file__).parent

def note(word):
    with open(HERE / "output", "a") as file:
        file.write(word + "\\n")
"""
HANGING = (
    TABLES
    + """
@app.on(orders, concurrency=40)
def hangs(change):
    note("hangs")
    threading.Event().wait()

@app.on(orders)
def good(change):
    note("good")
"""
)


class Shop:
    """A node with an app of its own."""

    def __init__(self, directory: Path, source: str, *options: str) -> None:
        (directory / "app.py").write_text(source)
        self.directory = directory
        self.node = Node(
            directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload", "--quiet", *options)
        )

    def start(self) -> None:
        self.node.start()
        self.node.wait_until_answering()

    def put(self, name: str) -> None:
        self.node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": name}}})

    def lines(self) -> list[str]:
        output = self.directory / "output"
        return output.read_text().splitlines() if output.exists() else []

    def handler(self, name: str) -> dict[str, Any]:
        (shown,) = [handler for handler in self.node.status()["handlers"] if handler["handler"] == name]
        return dict(shown)

    def wait_for(self, reached: Callable[[], bool]) -> None:
        eventually(reached, self.node.tail)

    def signal(self, number: int) -> None:
        assert self.node._process is not None
        self.node._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """The exit code and the log after a SIGTERM."""
        assert self.node._process is not None
        self.node._process.terminate()
        return self.node._process.wait(PATIENCE_S), self.node.log.read_text()


Begin = Callable[..., Shop]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Shop] = []

    def start(source: str, *options: str) -> Shop:
        begun.append(Shop(tmp_path, source, *options))
        begun[-1].start()
        return begun[-1]

    yield start
    for shop in begun:
        shop.node.kill()


def test_a_handler_that_hangs_beside_a_good_one_costs_its_own_mapping_alone(begin: Begin) -> None:
    shop = begin(HANGING)
    for number in range(200):
        shop.put(f"o{number}")
    shop.wait_for(lambda: shop.lines().count("good") == 200)
    shop.wait_for(lambda: shop.handler("hangs")["threads"]["busy"] == 40)
    assert shop.handler("hangs")["threads"] == {"busy": 40, "of": 40, "waiting": 0}
    assert shop.handler("good")["threads"]["of"] == 32
    assert shop.lines().count("hangs") == 40


SYNC = """
@app.on(orders)
def stuck(change):
    note("begun")
    threading.Event().wait()
"""
OWN_THREAD = """
def forever():
    threading.Event().wait()

@app.on(orders)
def starts(change):
    threading.Thread(target=forever, name="the handler's own", daemon=False).start()
    note("begun")
"""
POOL = """
from concurrent.futures import ThreadPoolExecutor

POOL = ThreadPoolExecutor(1, "a pool of its own")

def forever():
    threading.Event().wait()

@app.on(orders)
def starts(change):
    POOL.submit(forever)
    note("begun")
"""
SWALLOWS = """
@app.on(orders)
async def stuck(change):
    note("begun")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""
BLOCKS = """
@app.on(orders)
async def stuck(change):
    note("begun")
    while True:
        pause.wait(0.01)  # and no time.sleep: on a faked day that one is a line of Python of ours

pause = threading.Event()
"""
PROVIDER = """
from typing import Annotated
from tailrace import Depends

def client():
    yield 1
    threading.Event().wait()

@app.on(orders)
def takes(change, client: Annotated[int, Depends(client)]):
    note("begun")
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SYNC, "left behind: stuck in shardId-{shard} is still at work on orders/o1"),
        (OWN_THREAD, 'left behind: the thread "the handler\'s own" at {app}'),
        (POOL, "left behind: the thread 'a pool of its own_0' at {app}"),
        (SWALLOWS, "left behind: stuck in shardId-{shard} is still at work on orders/o1"),
        (BLOCKS, "left behind: the event loop stands still at {app}"),
        (PROVIDER, "left behind: what runs beside the handlers"),
    ],
    ids=[
        "a thread",
        "a thread of its own",
        "a pool of its own",
        "a cancellation that is caught",
        "the loop",
        "a clean-up",
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whatever_hangs_the_process_ends_within_the_bound_and_says_what_was_left(
    begin: Begin, source: str, told: str, number: int
) -> None:
    shop = begin(TABLES + source, "--drain", "500ms")
    shop.put("o1")
    shop.wait_for(lambda: shop.lines() == ["begun"])
    shop.signal(number)
    assert shop.node._process is not None
    code, log = shop.node._process.wait(PATIENCE_S), shop.node.log.read_text()
    before, _, after = told.partition("{shard}")
    assert code == 3, log
    assert before.format(app=shop.directory / "app.py") in log
    assert after in log
    assert "not drained within 0.5 s" in log


def test_the_second_signal_ends_it_at_once(begin: Begin) -> None:
    shop = begin(TABLES + BLOCKS, "--drain", "1h")
    shop.put("o1")
    shop.wait_for(lambda: shop.lines() == ["begun"])
    shop.signal(signal.SIGTERM)
    shop.wait_for(lambda: "draining" in shop.node.log.read_text())
    code, log = shop.end()
    assert code == 130
    assert "stopped at once" in log


def test_what_was_left_is_delivered_again_and_a_drain_that_comes_to_its_end_says_so(begin: Begin) -> None:
    shop = begin(TABLES + SYNC, "--drain", "200ms")
    shop.put("o1")
    shop.wait_for(lambda: shop.lines() == ["begun"])
    assert shop.end()[0] == 3
    (shop.directory / "app.py").write_text(TABLES + SYNC.replace("threading.Event().wait()", "pass"))
    shop.start()
    shop.wait_for(lambda: shop.lines() == ["begun", "begun"])
    shop.wait_for(lambda: shop.handler("stuck")["settled"].get("handled") == 1)
    code, log = shop.end()
    assert code == 0, log
    assert "drained: every request is answered" in log


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of a running process is Linux's")
def test_on_a_full_disk_the_drain_is_bounded_and_says_why_nothing_is_saved(
    tmp_path: Path, begin: Begin
) -> None:
    handler = """
@app.on(orders)
def waits(change):
    note("begun")
    while not (HERE / "go").exists():
        time.sleep(0.01)
"""
    shop = begin(TABLES + handler, "--drain", "1s")
    shop.put("o1")
    shop.wait_for(lambda: shop.lines() == ["begun"])
    assert shop.node._process is not None
    room = (tmp_path / "data" / "tailrace.db-wal").stat().st_size
    resource.prlimit(shop.node._process.pid, resource.RLIMIT_FSIZE, (room, room))
    (tmp_path / "go").touch()
    shop.wait_for(lambda: "the commit failed" in shop.node.log.read_text())
    code, log = shop.end()
    assert code == 3, log
    assert "left behind: waits in shardId-" in log
    assert "its checkpoint is not saved: " in log
    assert log.count("the commit failed") < 10, "it is told now and then, not at every try"


FUNCTION = """
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.function("stuck_function:lambda_handler", orders, Timeout=900)
"""
STUCK_FUNCTION = """
import os, threading

def lambda_handler(event, context):
    with open(os.path.join(os.path.dirname(__file__), "output"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    threading.Event().wait()
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_of_a_function_ends_with_its_node_whatever_it_is_doing(
    tmp_path: Path, begin: Begin, number: int
) -> None:
    (tmp_path / "stuck_function.py").write_text(STUCK_FUNCTION.replace("\\\\", "\\"))
    shop = begin(FUNCTION, "--drain", "500ms")
    shop.put("o1")
    shop.wait_for(lambda: len(shop.lines()) == 1)
    (pid,) = map(int, shop.lines())
    assert is_alive(pid)
    shop.signal(number)
    assert shop.node._process is not None
    assert shop.node._process.wait(PATIENCE_S) == (-9 if number == signal.SIGKILL else 3)
    eventually(lambda: not is_alive(pid))
