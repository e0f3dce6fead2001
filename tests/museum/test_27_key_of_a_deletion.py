"""A deletion is handled with the key of an image that it has not (data-prepper #3534).

In the wild: the key of the target's document was taken from the new image. A deletion has no new image: it
failed, or went to the document without a name, and the target kept the item.

Here: `change.key` comes from the keys of the record, which every record has; `change.new` is None
where there is nothing.
"""

from typing import Any

from tailrace import App, Change
from tailrace.testing import World
from tests.museum.reader import Reader
from tests.museum.stage import Stage


class Index:
    """The model: a search index kept up to date."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}

    def apply(self, record: dict[str, Any]) -> None:
        image = record["dynamodb"].get("NewImage", {})
        key = image.get("id", {}).get("S", "")  # the mistake
        if record["eventName"] == "REMOVE":
            self.documents.pop(key, None)
        else:
            self.documents[key] = image


def test_the_model_keeps_what_was_deleted() -> None:
    class Indexing(Reader):
        def sink(self, record: dict[str, Any]) -> None:
            index.apply(record)

    index = Index()
    with Stage() as stage:
        stage.put("a", "b")
        stage.world.delete(stage.orders, {"id": "a"})
        Indexing(stage).poll()
    assert sorted(index.documents) == ["a", "b"]


def test_ours_deletes_what_was_deleted() -> None:
    app, documents = App("museum"), {}
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def index(change: Change) -> None:
        documents[change.key] = change.new
        if change.new is None:
            del documents[change.key]

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a"})
        world.put(orders, {"id": "b"})
        world.delete(orders, {"id": "a"})
        world.settle()
    assert sorted(documents) == ["b"]
