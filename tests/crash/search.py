"""Kills between any two requests to a search cluster: the index is the table in the end.

Theory of operation: the cluster is in this process and kills the node: at a request that the seed chooses,
before it is done or after it was, and before its answer. Meanwhile a client puts and deletes items. Then the
last node settles, and what readers of the index find is compared with the table.
Rules of this file: an unanswered write is sent again, so the table has the last word.
"""

import http.client
import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.testing.search import SearchServer
from tailrace.testing.search.server import LostAnswer, LostRequest, SearchFault
from tests.crash.node import Node, free_port
from tests.patience import BETWEEN_LOOKS_S, PATIENCE_S, eventually

APP = Path(__file__).with_name("search_app.py")
CLUSTER = "TAILRACE_CRASH_SEARCH"
MOMENTS = ("before", "after")
ITEMS = 12
LATEST = 40
"""A kill falls at most so many requests after the node is there; opening the sink takes six."""


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    writes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class KillingServer(SearchServer):
    """A cluster that ends whoever asks it."""

    def __init__(self, kill: Callable[[], None]) -> None:
        super().__init__()
        self._kill = kill
        self._left = 0
        self._fault: SearchFault = LostRequest()
        self.killed = threading.Event()

    def aim(self, request: int, fault: SearchFault) -> None:
        """Kill at this request from now on."""
        self.killed.clear()
        self._left, self._fault = request, fault

    def fault_of(self, path: str) -> SearchFault | None:
        """Count, and before the request is done, kill and do it or not."""
        with self.cluster.lock:
            self._left -= 1
            if self._left != 0:
                return super().fault_of(path)
        self._kill()
        self.killed.set()
        return self._fault


class Client(threading.Thread):
    """Puts and deletes items until it ends."""

    def __init__(self, node: Node, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._node, self._chance = node, chance
        self.written = 0
        self.ends = threading.Event()

    def run(self) -> None:
        """One write after the other."""
        while not self.ends.is_set():
            key = {"id": {"S": f"item|{self._chance.randrange(ITEMS)}"}}
            self.written += 1
            item = {**key, "n": {"N": str(self.written)}}
            if self._chance.random() < 0.3:
                self._send("DeleteItem", {"TableName": "counters", "Key": key})
            else:
                self._send("PutItem", {"TableName": "counters", "Item": item})

    def _send(self, operation: str, payload: dict[str, Any]) -> None:
        while not self.ends.is_set():
            try:
                self._node.call(operation, payload)
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                self.ends.wait(BETWEEN_LOOKS_S)
            else:
                return


def run(seed: int, kills: int, tell: Callable[[str], None]) -> Outcome:
    """Kill so often, at moments in turn, and compare at the end."""
    outcome, chance = Outcome(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="tailrace-search-") as directory:
        node = Node(Path(directory), free_port(), ("dev", str(APP), "--no-reload", "--quiet"))
        with KillingServer(node.kill) as server:
            os.environ[CLUSTER] = server.url
            client = Client(node, chance)
            try:
                client.start()
                for number in range(kills):
                    moment = MOMENTS[number % len(MOMENTS)]
                    fault = LostRequest() if moment == "before" else LostAnswer()
                    server.aim(chance.randint(1, LATEST), fault)
                    node.start()
                    if not server.killed.wait(PATIENCE_S):
                        outcome.violations.append(f"nothing was asked of the cluster:\n{node.tail()}")
                        return outcome
                    outcome.kills[moment] += 1
                    tell(f"{outcome.kills.total()} kills, last {moment} a request")
                _compare(node, server, client, outcome)
            finally:
                client.ends.set()
                client.join()
                node.kill()
                del os.environ[CLUSTER]
    return outcome


def _compare(node: Node, server: SearchServer, client: Client, outcome: Outcome) -> None:
    node.start()
    node.wait_until_answering()
    client.ends.set()
    client.join()
    outcome.writes = client.written
    wanted = {item["id"]["S"]: int(item["n"]["N"]) for item in node.scan("counters")}
    try:
        eventually(lambda: shown(server) == wanted)
    except AssertionError:
        outcome.violations.append(f"the index shows {shown(server)} instead of {wanted}")
    if (code := node.stop()) != 0:
        outcome.violations.append(f"the last node ended with {code}:\n{node.tail()}")


def shown(server: SearchServer) -> dict[str, int]:
    """What readers of the index find."""
    server.cluster.refresh("counters")
    hits = server.cluster.search("counters", {"size": 1_000})["hits"]["hits"]
    return {hit["_source"]["id"]: hit["_source"]["n"] for hit in hits}
