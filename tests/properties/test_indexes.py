"""Indexes against a plain dict: entries, order, pages, sizes, back-fills while
written, failed commits, restarts.

Rules of this file: the model knows nothing of bytes, entries or positions: a dict of items, what was durable
of it, and the declarations of the indexes. After every step each index that can be read must show exactly
what the dict implies.
"""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings, QueryRequest, ScanRequest
from tailrace.errors import ApiError, StoreError
from tailrace.expressions.keys import KeyCondition, SortCondition
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableChange, read_change, read_definition
from tailrace.tables.mutate import Delete, Put
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tests.conformance.indexed import attributes, element, index
from tests.unit.engine.building import START_MS, FailingStore

KEY = (element("artist", "HASH"), element("song", "RANGE"))
LOCAL = index("local", "artist", ranges=("year",), projection="KEYS_ONLY")
GLOBAL = {
    "all": index("all", "genre", ranges=("plays",)),
    "keys": index("keys", "plays", projection="KEYS_ONLY"),
    "some": index("some", "genre", "label", ranges=("year", "plays"), projection="INCLUDE", include=["note"]),
}
TABLE: dict[str, Any] = {"TableName": "songs", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [*KEY]}

Key = tuple[str, str]
texts = st.sampled_from(["b", "bb", "b\0", "é"])
numbers = st.sampled_from(["-10", "-9.5", "0", "1", "2", "10"])
keys = st.tuples(st.sampled_from(["x", "y", "x\0"]), st.sampled_from(["1", "2", "3"]))
items = st.fixed_dictionaries(
    {},
    optional={
        "genre": st.builds(lambda text: {"S": text}, texts),
        "label": st.builds(lambda text: {"S": text}, texts),
        "plays": st.builds(lambda text: {"N": text}, numbers),
        "year": st.builds(lambda text: {"N": text}, numbers),
        "note": st.builds(lambda text: {"S": text}, texts),
    },
)
whole = st.fixed_dictionaries(
    {
        "genre": st.sampled_from([{"S": "b"}, {"S": "bb"}]),
        "label": st.sampled_from([{"S": "b"}, {"S": "bb"}]),
        "plays": st.just({"N": "1"}),
        "year": st.builds(lambda text: {"N": text}, numbers),
    }
)


def key_of(key: Key) -> Item:
    return {"artist": {"S": key[0]}, "song": {"S": key[1]}}


def order(value: dict[str, str]) -> Any:
    """What DynamoDB sorts by."""
    return float(value["N"]) if "N" in value else value["S"].encode()


class IndexesAgainstDict(RuleBasedStateMachine):
    """Steps a client, the disk and the operator may take."""

    @initialize(begun=st.sets(st.sampled_from(sorted(GLOBAL))))
    def open(self, begun: set[str]) -> None:
        """A table with its local index and some global ones, durable."""
        self.store = FailingStore(MemoryStore())
        self.settings = EngineSettings(slice_rows=2)
        self.engine = Engine(self.store, ManualClock(START_MS), self.settings)
        made = [GLOBAL[name] for name in sorted(begun)]
        request = {**TABLE, "LocalSecondaryIndexes": [LOCAL], "AttributeDefinitions": self.types(made)}
        self.engine.create_table(
            read_definition({**request, **({"GlobalSecondaryIndexes": made} if made else {})})
        )
        self.engine.committer.flush()
        self.items: dict[Key, Item] = {}
        self.durable: dict[Key, Item] = {}
        self.declared = set(begun)
        self.declared_durably = set(begun)

    def types(self, indexes: list[dict[str, Any]]) -> list[dict[str, str]]:
        """AttributeDefinitions of the table and these indexes."""
        names = [one["AttributeName"] for index in (LOCAL, *indexes) for one in index["KeySchema"]]
        return attributes(*dict.fromkeys(["artist", "song", *names]))

    # ---- writes --------------------------------------------------------------------------------------------

    @rule(key=keys, item=items)
    def put(self, key: Key, item: Item) -> None:
        """Replace an item."""
        new = {**key_of(key), **item}
        self.engine.put(Put("songs", new))
        self.items[key] = new

    @rule(many=st.dictionaries(keys, whole, min_size=5))
    def put_many(self, many: dict[Key, Item]) -> None:
        """Enough items that have every attribute for a back-fill to take several slices."""
        for key, item in many.items():
            self.put(key, item)

    @rule(key=keys)
    def delete(self, key: Key) -> None:
        """Remove an item, there or not."""
        self.engine.delete(Delete("songs", key_of(key)))
        self.items.pop(key, None)

    @rule()
    def flush(self) -> None:
        """Make everything durable."""
        self.engine.committer.flush()
        self.durable = dict(self.items)
        self.declared_durably = set(self.declared)

    @rule()
    def fail(self) -> None:
        """The disk is full: nothing since the last commit ever was."""
        self.store.is_broken = True
        if self.engine.committer.is_dirty:
            with pytest.raises(StoreError):
                self.engine.committer.flush()
        self.store.is_broken = False
        self.forget()

    @rule()
    def restart(self) -> None:
        """The process was killed: what was not durable is gone."""
        self.engine = Engine(self.store, ManualClock(START_MS), self.settings)
        self.forget()

    def forget(self) -> None:
        """What the model keeps when a group is lost."""
        self.items = dict(self.durable)
        self.declared = set(self.declared_durably)

    # ---- indexes -------------------------------------------------------------------------------------------

    def statuses(self) -> dict[str, str]:
        """Status by name, without pushing a back-fill on."""
        indexes = self.engine._catalog.tables["songs"].every_index
        return {index.definition.name: index.document.status for index in indexes}

    def change(self, update: dict[str, Any], **more: Any) -> None:
        """UpdateTable."""
        request = {"GlobalSecondaryIndexUpdates": [update], **more}
        change: TableChange = read_change(request)
        self.engine.update_table("songs", change)

    @rule(name=st.sampled_from(sorted(GLOBAL)))
    def create(self, name: str) -> None:
        """Begin an index, unless it is there or another one is being created."""
        types = [
            one
            for one in self.types([GLOBAL[name]])
            if one["AttributeName"] in str(GLOBAL[name]["KeySchema"])
        ]
        try:
            self.change({"Create": GLOBAL[name]}, AttributeDefinitions=types)
        except ApiError:
            assert name in self.declared or "CREATING" in self.statuses().values()
        else:
            self.declared.add(name)

    @rule(name=st.sampled_from(sorted(GLOBAL)))
    def drop(self, name: str) -> None:
        """Delete an index."""
        try:
            self.change({"Delete": {"IndexName": name}})
        except ApiError:
            assert name not in self.declared or "CREATING" in self.statuses().values()
        else:
            self.declared.discard(name)

    @rule(slices=st.integers(1, 3))
    def fill(self, slices: int) -> None:
        """Some slices of back-fills."""
        for _, _ in zip(range(slices), self.engine.fill_indexes(), strict=False):
            pass

    @precondition(lambda self: self.items == self.durable and self.declared == self.declared_durably)
    @rule()
    def keep_house(self) -> None:
        """A whole round, each slice flushed."""
        for _ in self.engine.housekeeping():
            self.engine.committer.flush()
        self.engine.committer.flush()

    # ---- what must hold ------------------------------------------------------------------------------------

    def expected(self, declared: dict[str, Any]) -> list[Item]:
        """The items that have every key attribute, as the index projects them."""
        names = [one["AttributeName"] for one in declared["KeySchema"]]
        projection = declared["Projection"]
        held = {"artist", "song", *names, *projection.get("NonKeyAttributes", ())}
        return [
            item
            if projection["ProjectionType"] == "ALL"
            else {name: item[name] for name in item if name in held}
            for item in self.items.values()
            if all(name in item for name in names)
        ]

    @invariant()
    def readable_indexes_show_what_the_items_imply(self) -> None:
        """Every entry, once, in pages of two; in the order of the range attributes inside a partition."""
        statuses = self.statuses()
        assert {*statuses} == {"local", *self.declared}
        for name, status in statuses.items():
            declared = LOCAL if name == "local" else GLOBAL[name]
            if status != "ACTIVE":
                with pytest.raises(ApiError, match="Cannot read from backfilling"):
                    self.engine.scan(ScanRequest("songs", index=name))
                continue
            expected = self.expected(declared)
            items = self.scanned(name)
            assert sorted(items, key=str) == sorted(expected, key=str)
            self.check_partitions(name, declared, expected)

    def scanned(self, name: str) -> list[Item]:
        items: list[Item] = []
        start: Item | None = None
        while True:
            page = self.engine.scan(ScanRequest("songs", index=name, limit=2, start=start))
            items += page.decoded()
            start = page.last_key
            if start is None:
                return items

    def check_partitions(self, name: str, declared: dict[str, Any], expected: list[Item]) -> None:
        hashes = [one["AttributeName"] for one in declared["KeySchema"] if one["KeyType"] == "HASH"]
        ranges = [one["AttributeName"] for one in declared["KeySchema"] if one["KeyType"] == "RANGE"]
        for partition in {
            tuple(str(item[attribute]) for attribute in hashes): item for item in expected
        }.values():
            values = [partition[attribute] for attribute in hashes]
            members = [item for item in expected if [item[attribute] for attribute in hashes] == values]
            condition = KeyCondition(values[0], None, tuple(values[1:]))
            items = self.engine.query(QueryRequest("songs", condition, index=name)).decoded()
            back = self.engine.query(QueryRequest("songs", condition, forward=False, index=name)).decoded()
            assert sorted(items, key=str) == sorted(members, key=str)
            assert back == items[::-1]
            places = [[order(item[attribute]) for attribute in ranges] for item in items]
            assert places == sorted(places)
            if ranges:
                bound = members[0][ranges[0]]
                most = QueryRequest(
                    "songs",
                    KeyCondition(values[0], SortCondition("<=", bound), tuple(values[1:])),
                    index=name,
                )
                count = sum(order(item[ranges[0]]) <= order(bound) for item in members)
                assert self.engine.query(most).count == count

    @invariant()
    def sizes_are_those_of_the_entries(self) -> None:
        """Counts and bytes of each readable index, and the weight of each item collection."""
        table = self.engine._catalog.tables["songs"]
        for indexed in table.every_index:
            if indexed.document.status == "ACTIVE":
                declared = LOCAL if indexed.definition.name == "local" else GLOBAL[indexed.definition.name]
                expected = self.expected(declared)
                assert (indexed.items, indexed.size_bytes) == (len(expected), sum(map(size_bytes, expected)))
        for artist in ("x", "y", "x\0"):
            weight = sum(
                size_bytes(item)
                for item in (*self.items.values(), *self.expected(LOCAL))
                if item["artist"] == {"S": artist}
            )
            assert self.engine.collection_bytes("songs", key_of((artist, "1"))) == weight


IndexesAgainstDict.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True
)
TestIndexesAgainstDict = IndexesAgainstDict.TestCase
