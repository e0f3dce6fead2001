"""A write that changes nothing makes a record (scylladb #27375).

In the wild: whether an item had changed was decided by comparing what was written, not what it means.
A map whose members came in another order counted as a change, and handlers that write back what they
have read woke themselves.

Here: items are compared by value. A write that leaves the item as it was makes no record, as on AWS.
"""

import json
from typing import Any

from tests.museum.stage import Stage

ONE = {"id": "a", "address": {"city": "Utrecht", "street": "Oudegracht"}}
SAME = {"address": {"street": "Oudegracht", "city": "Utrecht"}, "id": "a"}


class Comparing:
    """The model. The mistake: items are equal when their texts are."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.log: list[str] = []

    def put(self, item: dict[str, Any]) -> None:
        text = json.dumps(item)
        if self.items.get(item["id"]) != text:
            self.log.append("MODIFY" if item["id"] in self.items else "INSERT")
            self.items[item["id"]] = text


def test_the_model_logs_a_change_of_nothing() -> None:
    table = Comparing()
    for item in (ONE, ONE, SAME):
        table.put(item)
    assert table.log == ["INSERT", "MODIFY"]


def test_ours_makes_no_record() -> None:
    with Stage() as stage:
        for item in (ONE, ONE, SAME):
            stage.world.put(stage.orders, {**item, "n": 1})
        stage.world.settle()
        assert stage.ours == ["a1"]
