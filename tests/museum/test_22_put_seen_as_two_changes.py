"""A replaced item is seen as removed and then modified (scylladb #6930).

In the wild: a put was carried out as a deletion of the whole item and a write of its attributes, and the
stream showed both. Handlers saw an item vanish that never was away.

Here: the record is made from the item before and the item after, in the transaction that writes the item: one
write, one record.
"""

from typing import Any

from tests.museum.reader import Reader
from tests.museum.stage import Stage


class Cells:
    """The model: a table of cells. The mistake: the log shows how a put is carried out, not what it does."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], Any] = {}
        self.log: list[str] = []

    def put(self, item: dict[str, Any]) -> None:
        there = [cell for cell in self.cells if cell[0] == item["id"]]
        for cell in there:
            del self.cells[cell]
        if there:
            self.log.append("REMOVE")
        self.cells.update({(item["id"], name): value for name, value in item.items()})
        self.log.append("MODIFY" if there else "INSERT")


def test_the_model_removes_what_is_replaced() -> None:
    table = Cells()
    table.put({"id": "a", "n": 1})
    table.put({"id": "a", "n": 2})
    assert table.log == ["INSERT", "REMOVE", "MODIFY"]


def test_ours_shows_one_change_for_one_put() -> None:
    class Names(Reader):
        def sink(self, record: dict[str, Any]) -> None:
            self.delivered.append(record["eventName"])

    with Stage() as stage:
        stage.put("a", "a")
        reader = Names(stage)
        reader.poll()
        assert reader.delivered == ["INSERT", "MODIFY"]
