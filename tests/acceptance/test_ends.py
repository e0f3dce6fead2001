"""What hangs, on real processes: it costs itself alone, and the process ends all the same, with a word about what was left.

Rules of this file: nothing is measured in time; what is waited for has a bound only against a test that never ends.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.node import Node, free_port
from tests.patience import eventually

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
        (found,) = [each for each in self.node.status()["handlers"] if each["handler"] == name]
        return dict(found)

    def wait_for(self, reached: Callable[[], bool]) -> None:
        eventually(reached, self.node.tail)


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
