"""The client of tests/crash/sinks.py: it puts, updates and deletes items whose attributes change their types
and become more.

Rules of this file: a thread; one seed decides what it writes. An unanswered write is sent again, unchanged.
Values are those that targets find hard: numbers beyond 38 digits, U+0000, a text where numbers were.
"""

import http.client
import random
import threading
from typing import Any

from tests.crash.node import Node
from tests.patience import BETWEEN_LOOKS_S

ITEMS = 32
BALLAST = 200
"""Items that are there before: of each some are written again, some deleted, some never touched."""
NEW_EVERY = 40
"""Writes, after which there is one attribute more."""
MOST_NEW = 12
PAUSE_S = 0.004
TEXTS = ("plain", "tab\tand\nline\\", "nul\x00 and \u2400", "quote'\"", "größe 🌊", "\\N")
NUMBERS = ("7", "-12.75", "9223372036854775808", "1234567890123456789.0123456789", "1E+100", "-1E-120", "0")
MIXED: tuple[dict[str, Any], ...] = (
    {"N": "1"}, {"S": "1"}, {"BOOL": True}, {"M": {"inside": {"N": "1.50"}}}, {"L": [{"N": "1"}, {"S": "a"}]},
    {"B": "AAEC"},
)  # fmt: skip
NESTED: tuple[dict[str, Any], ...] = (
    {"M": {"name": {"S": "nul\x00"}, "size": {"N": "12345678901234567890123456789012345678"}}},
    {"M": {"name": {"S": "␀0"}, "list": {"L": [{"BOOL": False}, {"S": "x"}]}}},
)


class Client(threading.Thread):
    """Writes until it ends. Shape: `written` counts what was answered."""

    def __init__(self, node: Node, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._node, self._chance = node, chance
        self._kept = [f"ballast|{number}" for number in range(BALLAST)]
        self.written = 0
        self.ends = threading.Event()

    def run(self) -> None:
        """One write after the other."""
        while not self.ends.is_set():
            self._write()
            self.ends.wait(PAUSE_S)

    def _write(self) -> None:
        if self._chance.random() < 0.4:
            self._write_once()
            return
        key = {"id": {"S": f"item|{self._chance.randrange(ITEMS)}"}}
        what = self._chance.random()
        if what < 0.25:
            self._send("DeleteItem", {"TableName": "items", "Key": key})
        elif what < 0.6:
            self._send("PutItem", {"TableName": "items", "Item": {**key, **self._attributes()}})
        else:
            name, value = self._chance.choice(sorted(self._attributes().items()))
            update = {"UpdateExpression": "SET #a = :a", "ExpressionAttributeNames": {"#a": name}}
            if self._chance.random() < 0.2:
                update["UpdateExpression"] = "REMOVE #a"
            else:
                update["ExpressionAttributeValues"] = {":a": value}
            self._send("UpdateItem", {"TableName": "items", "Key": key, **update})

    def _write_once(self) -> None:
        """An item that no later change mends: what is lost of it stays lost. Some are deleted, once."""
        if self._kept and self._chance.random() < 0.4:
            key = {"id": {"S": self._kept.pop(self._chance.randrange(len(self._kept)))}}
            self._send("DeleteItem", {"TableName": "items", "Key": key})
            return
        self._kept.append(f"once|{self.written}")
        item = {"id": {"S": self._kept[-1]}, **self._attributes()}
        self._send("PutItem", {"TableName": "items", "Item": item})

    def _attributes(self) -> dict[str, Any]:
        chance = self._chance
        kinds = min(MOST_NEW, self.written // NEW_EVERY)
        return {
            "n": {"N": str(self.written)},
            "amount": {"N": chance.choice(NUMBERS)},
            "text": {"S": chance.choice(TEXTS)},
            "mixed": chance.choice(MIXED),
            "nested": chance.choice(NESTED),
            f"new_{chance.randint(0, kinds)}": {"S": chance.choice(TEXTS)},
            **({"note": {"S": "here"}} if chance.random() < 0.3 else {}),
        }

    def _send(self, operation: str, payload: dict[str, Any]) -> None:
        while not self.ends.is_set():
            try:
                self._node.call(operation, payload)
            except (OSError, http.client.HTTPException, ValueError, AssertionError):
                self.ends.wait(BETWEEN_LOOKS_S)
            else:
                self.written += 1
                return
