"""Query and Scan: ranges, order, pages, filters, starting keys."""

import pytest

from tailrace.engine.engine import Engine, ItemPage, QueryRequest, ScanRequest
from tailrace.engine.query import following_prefix
from tailrace.errors import ApiError
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.projection import parse_projection
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Delete, Put
from tailrace.values.types import Item
from tests.unit.engine.building import condition, keys, opened, with_table

PARTITION: Item = {":p": {"S": "a"}}
NUMBERS = [-10, -1, 0, 2, 3, 10]


def row(sort: int, partition: str = "a", **more: str) -> Item:
    extra: Item = {name: {"S": text} for name, text in more.items()}
    return {"pk": {"S": partition}, "sk": {"N": str(sort)}, **extra}


def filled(*, pending: bool = False) -> Engine:
    """Six items of partition a and one of b; with `pending` every second one is not durable."""
    engine, _ = with_table(sort=True)
    for sort in NUMBERS[::2] if pending else NUMBERS:
        engine.put(Put("orders", row(sort, colour="even" if sort % 2 == 0 else "odd")))
    engine.committer.flush()
    if pending:
        for sort in NUMBERS[1::2]:
            engine.put(Put("orders", row(sort, colour="even" if sort % 2 == 0 else "odd")))
    engine.put(Put("orders", row(1, "b")))
    return engine


def sorts(page: ItemPage) -> list[int]:
    return [int(item["sk"]["N"]) for item in page.decoded()]


def query(engine: Engine, text: str, values: Item | None = None, **more: object) -> ItemPage:
    return engine.query(QueryRequest("orders", keys(text, {**PARTITION, **(values or {})}), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pk = :p", NUMBERS),
        ("pk = :p AND sk = :x", [2]),
        ("pk = :p AND sk < :x", [-10, -1, 0]),
        ("pk = :p AND sk <= :x", [-10, -1, 0, 2]),
        ("pk = :p AND sk > :x", [3, 10]),
        ("pk = :p AND sk >= :x", [2, 3, 10]),
    ],
)
def test_a_key_condition_chooses_a_range_in_order(
    text: str, expected: list[int], forward: bool, pending: bool
) -> None:
    values: Item = {":x": {"N": "2"}} if ":x" in text else {}
    page = query(filled(pending=pending), text, values, forward=forward)
    assert sorts(page) == (expected if forward else expected[::-1])
    assert (page.count, page.scanned_count, page.last_key) == (len(expected), len(expected), None)


def test_between_takes_both_ends() -> None:
    page = query(filled(), "pk = :p AND sk BETWEEN :x AND :y", {":x": {"N": "-1"}, ":y": {"N": "3"}})
    assert sorts(page) == [-1, 0, 2, 3]


def test_begins_with_takes_the_prefix_and_nothing_beside_it() -> None:
    engine = opened()
    engine.create_table(TableDefinition("orders", "pk", "S", "sk", "S"))
    for sort in ("a", "ab", "ab\uffff", "abc", "ac", "b"):
        engine.put(Put("orders", {"pk": {"S": "a"}, "sk": {"S": sort}}))
    page = query(engine, "pk = :p AND begins_with(sk, :x)", {":x": {"S": "ab"}})
    assert [item["sk"]["S"] for item in page.decoded()] == ["ab", "abc", "ab\uffff"]


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_pages_join_to_the_whole_and_a_full_last_page_still_gives_a_key(limit: int, forward: bool) -> None:
    engine = filled()
    seen: list[int] = []
    start: Item | None = None
    pages = 0
    while True:
        page = query(engine, "pk = :p", limit=limit, start=start, forward=forward)
        seen.extend(sorts(page))
        pages += 1
        start = page.last_key
        if start is None:
            break
        assert page.scanned_count == limit
    assert seen == (NUMBERS if forward else NUMBERS[::-1])
    assert pages == len(NUMBERS) // limit + 1


def test_the_limit_counts_what_is_evaluated_not_what_passes_the_filter() -> None:
    page = query(filled(), "pk = :p", limit=4, filter=condition("colour = :c", c="odd"))
    assert sorts(page) == [-1]
    assert (page.count, page.scanned_count) == (1, 4)
    assert page.last_key == row(2)


def test_a_projection_keeps_what_it_names_and_counting_gives_no_items() -> None:
    projection = parse_projection("colour", Placeholders(None, None))
    page = query(filled(), "pk = :p AND sk = :x", {":x": {"N": "3"}}, projection=projection)
    assert page.decoded() == [{"colour": {"S": "odd"}}]
    counted = query(filled(), "pk = :p", count_only=True)
    assert (counted.items, counted.count, counted.scanned_count) == ([], 6, 6)


def test_a_page_ends_after_the_item_that_crosses_a_megabyte() -> None:
    engine, _ = with_table(sort=True)
    for sort in range(5):
        engine.put(Put("orders", row(sort, large="x" * 300_000)))
    page = query(engine, "pk = :p")
    assert sorts(page) == [0, 1, 2, 3]
    assert page.last_key == row(3)
    rest = query(engine, "pk = :p", start=page.last_key)
    assert (sorts(rest), rest.last_key) == ([4], None)


def test_a_page_is_weighed_by_the_item_not_by_its_json() -> None:
    engine, _ = with_table(sort=True)
    numbers: Item = {f"n{index}": {"N": "1"} for index in range(1_000)}
    for sort in range(100):  # 14 bytes of JSON for 5 of item: 1.5 MB of JSON, 0.6 MB of items
        engine.put(Put("orders", {**row(sort), **numbers}))
    page = query(engine, "pk = :p")
    assert (page.count, page.last_key) == (100, None)


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        (
            "pk = :p",
            {"pk": {"S": "a"}},
            "The provided starting key is invalid",
        ),
        (
            "pk = :p",
            row(1, "b"),
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            "pk = :p AND sk > :x",
            row(1),
            "The provided starting key does not match the range key predicate",
        ),
        ("pk = :p AND sk = :x", row(2), "The query can return at most one row and cannot be restarted"),
    ],
)
def test_a_wrong_starting_key_is_refused_in_awss_words(text: str, start: Item, message: str) -> None:
    values: Item = {":x": {"N": "2"}} if ":x" in text else {}
    with pytest.raises(ApiError) as refused:
        query(filled(), text, values, start=start)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("text", "values"),
    [("pk = :x", {":x": {"N": "1"}}), ("pk = :p AND sk = :x", {":p": {"S": "a"}, ":x": {"S": "1"}})],
)
def test_a_condition_of_another_type_is_refused(text: str, values: Item) -> None:
    with pytest.raises(ApiError) as refused:
        filled().query(QueryRequest("orders", keys(text, values)))
    assert refused.value.message == (
        "One or more parameter values were invalid: Condition parameter type does not match schema type"
    )


def test_a_filter_on_a_key_is_refused_in_a_query_but_not_in_a_scan() -> None:
    engine = filled()
    wanted = condition("pk = :c", c="a")
    with pytest.raises(ApiError) as refused:
        query(engine, "pk = :p", filter=wanted)
    assert refused.value.message == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: pk"
    )
    assert engine.scan(ScanRequest("orders", wanted)).count == 6


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_scan_visits_every_item_once_partition_by_partition(limit: int) -> None:
    engine, _ = with_table(sort=True)
    everything = {(partition, sort) for partition in "abcdefg" for sort in range(3)}
    for partition, sort in everything:
        engine.put(Put("orders", row(sort, partition)))
    engine.committer.flush()
    engine.delete(Delete("orders", row(1, "c")))
    seen: list[tuple[str, int]] = []
    start: Item | None = None
    while True:
        page = engine.scan(ScanRequest("orders", limit=limit, start=start))
        seen.extend((item["pk"]["S"], int(item["sk"]["N"])) for item in page.decoded())
        start = page.last_key
        if start is None:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == everything - {("c", 1)}
    partitions = [name for index, (name, _) in enumerate(seen) if index == 0 or seen[index - 1][0] != name]
    assert len(partitions) == 7


def test_a_scan_refuses_a_start_that_is_no_key() -> None:
    with pytest.raises(ApiError, match=r"^The provided starting key is invalid: "):
        filled().scan(ScanRequest("orders", start={"pk": {"N": "1"}}))


@pytest.mark.parametrize(
    ("prefix", "following"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff", None), (b"", None), (b"a\xfe\xff\xff", b"a\xff")],
)
def test_what_follows_a_prefix(prefix: bytes, following: bytes | None) -> None:
    assert following_prefix(prefix) == following
