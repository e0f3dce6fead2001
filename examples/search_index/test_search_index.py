"""The index in a test world. `pytest examples/search_index`."""

from collections.abc import Iterator

import pytest
from search_index import Article, Index, app, articles, index

from tailrace import Batch
from tailrace.testing import World

pytestmark = pytest.mark.world(app, shards=2)


class Remembering(Index):
    """An index that remembers what it was given."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.batches: list[Batch[Article]] = []

    def apply(self, batch: Batch[Article]) -> None:
        """Show these changes, and remember them."""
        self.batches.append(batch)
        super().apply(batch)


@pytest.fixture
def search_index(world: World) -> Iterator[Remembering]:
    """An index in memory, which outlives the workers of the world as a file would."""
    made = Remembering(":memory:")
    world.override(index, lambda: made)
    yield made
    made.close()


def test_what_is_written_is_found_and_what_is_changed_is_found_anew(
    world: World, search_index: Index
) -> None:
    world.put(Article(id="a1", title="Streams", text="A change and its record are one commit."))
    world.put(Article(id="a2", title="Shards", text="A record is in one shard."))
    world.settle()
    assert search_index.search("record one") == ["a2", "a1"]
    assert search_index.search("commit") == ["a1"]
    world.update(Article, id="a1", text="Nothing of that.")
    world.delete(Article, id="a2")
    world.settle()
    assert search_index.search("record") == []
    assert search_index.search("streams") == ["a1"]
    assert search_index.articles() == {"a1": "Streams"}


@pytest.mark.parametrize("seed", range(3))
def test_the_index_is_the_table_whatever_goes_wrong(world: World, search_index: Index, seed: int) -> None:
    with world.faults(
        duplicates=0.4, crash=["before-effect", "after-effect"], reshard="1h", throttle=0.2, seed=seed
    ):
        for turn in range(6):
            for number in range(5):
                world.put(Article(id=f"a{number}", title=f"Version {turn} of {number}"))
            world.delete(Article, id=f"a{turn % 5}")
        world.settle()
    titles = {str(item["id"]): str(item["title"]) for item in world.scan(articles)}
    assert search_index.articles() == titles
    assert search_index.search("version") == sorted(titles)


def test_an_older_change_that_comes_late_changes_nothing(world: World, search_index: Remembering) -> None:
    for title in ("One", "Two"):
        world.put(Article(id="a1", title=title))
        world.settle()
    world.put(Article(id="a2", title="Other"))
    world.settle()
    world.delete(Article, id="a2")
    world.settle()
    for batch in reversed(search_index.batches):
        search_index.apply(batch)
    assert search_index.articles() == {"a1": "Two"}
    assert search_index.search("One") == []
