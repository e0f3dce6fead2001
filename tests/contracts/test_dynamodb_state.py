"""State in a DynamoDB table keeps the contract, through boto3's client and ours, against
the engine's own server.
"""

import asyncio
import gc
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tailrace.aws.errors import AwsError, verdict, verdict_here
from tailrace.aws.places import KNOWN
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ApiError, InternalError, OutcomeUnknown, StateConflict, StoreError
from tailrace.leases.checkpoint import mark_key, mark_write
from tailrace.ports import ItemWrite, StateStore
from tailrace.rows.writes import Absent, Check, Equals, StateRow, Write
from tailrace.sinks.aws import AwsAccess
from tailrace.stores.dynamodb import DynamoDbStateStore, refusal
from tailrace.stores.dynamodb_layout import FORMAT_ITEM
from tailrace.stores.dynamodb_parts import MOST_BYTES, SPARED_MS, RowParts
from tailrace.stores.dynamodb_table import create_table
from tailrace.streams.version import Version
from tailrace.testing import check_state_store
from tests.serving import serving

ROW = mark_write("mark/a", Version(1, 5))


@pytest.fixture(scope="module", params=["boto3's client", "ours"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What a user may give: a client of boto3's, or where and as whom."""
    with serving() as served, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "any")
        KNOWN.forget(None)
        url = f"http://127.0.0.1:{served.port}"
        if request.param == "ours":
            yield AwsAccess("us-east-1", url)
        else:
            yield boto3.client(
                "dynamodb",
                endpoint_url=url,
                region_name="us-east-1",
                config=Config(retries={"total_max_attempts": 1}),
            )
    KNOWN.forget(None)


def made(client: Any, numbers: Iterator[int] = itertools.count()) -> DynamoDbStateStore:  # noqa: B008 - shared on purpose
    table = f"state-{next(numbers)}"
    assert create_table(client, table).is_ready
    return DynamoDbStateStore(client, table)


def test_it_keeps_the_contract(client: Any) -> None:
    def make() -> StateStore:
        return made(client)

    check_state_store(make, has_tables=True, again=lambda store: DynamoDbStateStore(client, store._table))


def test_binaries_of_a_users_item_arrive_as_they_are(client: Any) -> None:
    store = made(client)
    item = {"pk": {"S": "user"}, "sk": {"S": "1"}, "b": {"B": "AP8="}, "l": {"L": [{"BS": ["AQ=="]}]}}
    asyncio.run(store.transact([ItemWrite("Put", {"TableName": store._table, "Item": item})]))
    asked = {"TableName": store._table, "Key": {"pk": item["pk"], "sk": item["sk"]}}
    assert asyncio.run(store._tables.call("GetItem", asked))["Item"] == item


def test_a_mark_and_a_users_item_are_one_transaction(client: Any) -> None:
    store = made(client)
    put = ItemWrite(
        "Put", {"TableName": store._table, "Item": {"pk": {"S": "user"}, "sk": {"S": "1"}, "n": {"N": "1"}}}
    )
    asyncio.run(store.transact([ROW, put]))
    with pytest.raises(StateConflict) as conflict:
        asyncio.run(store.transact([ROW, put]))
    assert conflict.value.index == 0
    nowhere = ItemWrite("Put", {"TableName": "nowhere", "Item": {"id": {"S": "1"}}})
    with pytest.raises(ApiError):
        asyncio.run(store.transact([Write("mark/b", {"v": 1}), nowhere]))
    assert asyncio.run(store.get("mark/b")) is None


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (["ConditionalCheckFailed", "None"], StateConflict),
        (["None", "ConditionalCheckFailed"], ApiError),
        (["TransactionConflict", "ConditionalCheckFailed"], StoreError),
        (["None", "ValidationError"], ApiError),
    ],
)
def test_a_cancelled_transaction_says_whose_condition_it_was(codes: list[str], kind: type) -> None:
    code, members = (
        "TransactionCanceledException",
        {"CancellationReasons": [{"Code": code} for code in codes]},
    )
    error = AwsError("dynamodb.transact_write_items", verdict(code), code, "…", status=400, members=members)
    assert type(refusal(error, [ROW, ItemWrite("Delete", {})], [0, 1], table="state")) is kind


def test_an_endpoint_that_is_not_there_is_a_store_error() -> None:
    nowhere = boto3.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(StoreError):
        asyncio.run(DynamoDbStateStore(nowhere, "state").get("mark/a"))


# ---- what it costs, and what is said of it -----------------------------------------------------------------


class Watched:
    """The calls of a store, as they are made; `fails` says which of them do not succeed, and whether they are
    done all the same.
    """

    def __init__(self, store: DynamoDbStateStore) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, tuple[AwsError, bool]] = {}
        self._under = store._tables
        store._tables = self
        store._parts = RowParts(self.call, store._table)

    async def call(self, operation: str, members: Any) -> Any:
        self.calls.append(operation)
        error, is_done = self.fails.pop(operation, (None, True))
        answer = await self._under.call(operation, members) if is_done else None
        if error is not None:
            raise error
        return answer

    def taken(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls


def aws_error(code: str, status: int = 400, **members: Any) -> AwsError:
    said = verdict(code, status=status) if code else verdict_here("EndpointConnectionError")
    return AwsError("dynamodb.put_item", said, code, "…", status=status, members=members)


async def watched(client: Any) -> tuple[DynamoDbStateStore, Watched]:
    store = made(client)
    await store.format()
    return store, Watched(store)


def test_when_one_partition_of_many_cannot_be_read_no_question_is_left_unasked_and_warned_of(
    client: Any,
) -> None:
    async def story() -> None:
        store, seen = await watched(client)
        seen.fails["Query"] = (aws_error(""), False)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(StoreError):
                await store.query("lease/shop/")
            gc.collect()
        assert [str(warning.message) for warning in said] == []
        assert "Query" in seen.taken()

    asyncio.run(story())


def test_a_write_under_one_condition_is_one_conditional_write_and_no_transaction(client: Any) -> None:
    async def story() -> None:
        store, watch = await watched(client)
        for writes, expected in (
            ([Write("a", {"n": 1}, Absent())], ["PutItem"]),
            ([Write("a", {"n": 2}, Equals("n", 1))], ["PutItem"]),
            ([Check("a", Equals("n", 2)), Write("a", {"n": 3})], ["PutItem"]),
            ([Check("a", Equals("n", 3))], ["GetItem"]),
            ([Write("a", None, Equals("n", 3))], ["DeleteItem"]),
            ([Write("a", {"n": 1}), Check("b", Absent())], ["TransactWriteItems"]),
        ):
            await store.transact(writes)  # type: ignore[arg-type]
            assert watch.taken() == expected
        with pytest.raises(StateConflict):
            await store.transact([Write("a", {"n": 2}, Absent())])
        assert watch.taken() == ["PutItem"]

    asyncio.run(story())


@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems"])
def test_a_conflict_of_transactions_is_tried_again_and_is_no_lost_fence(client: Any, operation: str) -> None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "ConditionalCheckFailed"}]
    error = {
        "PutItem": aws_error("TransactionConflictException"),
        "TransactWriteItems": aws_error("TransactionCanceledException", CancellationReasons=reasons),
    }[operation]

    async def story() -> None:
        store, watch = await watched(client)
        watch.fails[operation] = (error, False)
        beside = [] if operation == "PutItem" else [Check("b", Absent())]
        with pytest.raises(StoreError) as raised:
            await store.transact([Write("a", {"epoch": 1}, Absent()), *beside])
        assert not isinstance(raised.value, StateConflict | OutcomeUnknown)
        assert raised.value.retryable

    asyncio.run(story())


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("code", ["", "InternalServerError"])
def test_of_a_write_without_an_answer_it_is_said_that_nobody_knows(
    client: Any, is_done: bool, code: str
) -> None:
    async def story() -> None:
        store, watch = await watched(client)
        for key, beside in (("a", []), ("b", [Check("z", Absent())])):
            operation = "TransactWriteItems" if beside else "PutItem"
            watch.fails[operation] = (aws_error(code, 500 if code else 0), is_done)
            with pytest.raises(OutcomeUnknown, match="not known"):
                await store.transact([Write(key, {"v": 1}), *beside])
            assert (await store.get(key) is not None) == is_done
        watch.fails["PutItem"] = (aws_error("AccessDeniedException"), False)
        with pytest.raises(StoreError) as denied:
            await store.transact([Write("a", {"v": 1})])
        assert not isinstance(denied.value, OutcomeUnknown)
        watch.fails["GetItem"] = (aws_error(""), False)
        with pytest.raises(StoreError) as unread:
            await store.get("a")
        assert not isinstance(unread.value, OutcomeUnknown)

    asyncio.run(story())


# ---- large rows --------------------------------------------------------------------------------------------

LARGE = "x" * (MOST_BYTES + 1)


async def pieces(store: DynamoDbStateStore) -> list[str]:
    """The partition keys of all items that are no rows."""
    asked: dict[str, Any] = {"TableName": store._table, "ProjectionExpression": "pk"}
    names: list[str] = []
    while True:
        page = await store._tables.call("Scan", asked)
        names += [item["pk"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    return sorted(name.partition("/")[0].partition("#")[0] for name in names if name.startswith("tailrace-"))


def test_a_row_of_300_000_bytes_is_one_item_and_a_larger_one_has_pieces_which_go_with_it(client: Any) -> None:
    async def story() -> None:
        store, watch = await watched(client)
        exactly = {"t": "x" * (MOST_BYTES - len('{"t":""}'))}
        await store.transact([Write("a", exactly)])
        assert (watch.taken(), await pieces(store)) == (["PutItem"], [])
        watch.taken()
        larger = {"t": f"{exactly['t']}x"}
        await store.transact([Write("a", larger, Equals("t", exactly["t"]))])
        assert watch.taken() == ["PutItem", "PutItem", "PutItem", "TransactWriteItems"]
        assert await pieces(store) == ["tailrace-part-sets", "tailrace-parts", "tailrace-parts"]
        assert await store.get("a") == StateRow("a", larger)
        again = DynamoDbStateStore(client, store._table)
        assert [row.key for row in await again.query("a")] == ["a"]
        await again.transact([Write("a", {"v": 1}, Equals("t", larger["t"]))])
        assert (await again.get("a"), await pieces(store)) == (StateRow("a", {"v": 1}), [])

    asyncio.run(story())


def test_many_rows_that_are_small_each_but_too_large_together_are_one_transaction(client: Any) -> None:
    async def story() -> None:
        store, _ = await watched(client)
        rows = [StateRow(f"row/{number:02d}", {"t": f"{number}" + "x" * 250_000}) for number in range(20)]
        await store.transact([Write(row.key, row.fields, Absent()) for row in rows])
        assert await store.query("row/") == rows
        assert await pieces(store) != []
        await store.transact([Write(row.key, None) for row in rows])
        assert set(await pieces(store)) <= {"tailrace-part-sets"}

    asyncio.run(story())


def test_a_transaction_of_a_hundred_rows_with_a_large_one_is_refused_by_name(client: Any) -> None:
    async def story() -> None:
        store, _ = await watched(client)
        small = [Write(f"row/{number}", {"v": 1}) for number in range(98)]
        await store.transact([*small, Write("large", {"t": LARGE})])
        with pytest.raises(InternalError, match="99 are the most"):
            await store.transact([*small, Write("row/98", {"v": 1}), Write("large", {"t": LARGE})])

    asyncio.run(story())


def test_what_a_refused_transaction_has_written_in_pieces_goes_at_once(client: Any) -> None:
    async def story() -> None:
        store, _ = await watched(client)
        with pytest.raises(StateConflict) as conflict:
            await store.transact([Write("b", {"v": 1}), Write("a", {"t": LARGE}, Equals("epoch", 1))])
        assert conflict.value.index == 1
        assert (await pieces(store), await store.query("")) == ([], [])

    asyncio.run(story())


def test_pieces_of_a_killed_writer_go_after_a_minute_and_those_of_rows_stay(client: Any) -> None:
    async def story() -> None:
        store, clock = made(client), ManualClock()
        await store.transact([Write("a", {"t": LARGE}), Write("b", {"t": f"{LARGE}b"})])
        watch = Watched(store)
        watch.fails["TransactWriteItems"] = (aws_error(""), False)
        with pytest.raises(OutcomeUnknown):
            await store.transact([Write("c", {"t": LARGE})])
        assert len(await pieces(store)) == (1 + 2 + 2) + (1 + 2)
        cleaner = DynamoDbStateStore(client, store._table, clock)
        assert await cleaner.clean() == 0
        clock.advance(SPARED_MS - 1)
        assert await cleaner.clean() == 0
        clock.advance(1)
        assert await cleaner.clean() == 1
        assert len(await pieces(store)) == 1 + 2 + 2
        assert [row.fields["t"] for row in await store.query("")] == [LARGE, f"{LARGE}b"]

    asyncio.run(story())


def test_a_writer_whose_pieces_were_taken_for_a_killed_ones_writes_again_and_no_row_is_without_its_pieces(
    client: Any,
) -> None:
    async def story() -> None:
        store, clock = made(client), ManualClock()
        cleaner = DynamoDbStateStore(client, store._table, clock)
        watch = Watched(store)
        under = watch.call

        async def slow(operation: str, members: Any) -> Any:
            if operation == "TransactWriteItems":
                await cleaner.clean()
                clock.advance(SPARED_MS)
                assert await cleaner.clean() == 1
            return await under(operation, members)

        watch.call = slow  # type: ignore[method-assign]
        store._tables = watch  # type: ignore[assignment]
        with pytest.raises(StoreError, match="again") as raised:
            await store.transact([Write("a", {"t": LARGE}, Absent())])
        assert not isinstance(raised.value, StateConflict | OutcomeUnknown)
        assert (await store.get("a"), await pieces(store)) == (None, [])

    asyncio.run(story())


def test_a_large_row_that_is_replaced_while_it_is_read_is_read_anew(client: Any) -> None:
    async def story() -> None:
        store = made(client)
        other = DynamoDbStateStore(client, store._table)
        await store.transact([Write("a", {"t": LARGE})])
        await other.get("a")
        watch = Watched(store)
        under, replaced = watch.call, []

        async def racing(operation: str, members: Any) -> Any:
            if operation == "Query" and len(replaced) < 2:
                replaced.append(1)
                await other.transact([Write("a", {"t": f"{len(replaced)}{LARGE}"})])
            return await under(operation, members)

        store._parts = RowParts(racing, store._table)
        assert await store.get("a") == StateRow("a", {"t": f"2{LARGE}"})

    asyncio.run(story())


# ---- tables of before --------------------------------------------------------------------------------------


def test_a_table_with_rows_of_format_1_is_read_and_written_in_that_format(client: Any) -> None:
    async def story() -> None:
        store = made(client)
        await store._tables.call("DeleteItem", {"TableName": store._table, "Key": FORMAT_ITEM})
        key = mark_key("shop.mail", "run", "orders", b"k")
        old = {
            "pk": {"S": "mark"},
            "sk": {"S": key.removeprefix("mark")},
            "fields": {"S": '{"v": 1, "sequence": 5}'},
            "f_v": {"N": "1"},
            "f_sequence": {"N": "5"},
        }
        await store._tables.call("PutItem", {"TableName": store._table, "Item": old})
        store = DynamoDbStateStore(client, store._table)
        assert await store.format() == 1
        assert await store.query("mark/shop.mail/") == [StateRow(key, {"v": 1, "sequence": 5})]
        for version, is_newer in ((Version(1, 5), False), (Version(1, 6), True), (Version(1, 6), False)):
            try:
                await store.transact([mark_write(key, version)])
            except StateConflict:
                assert not is_newer
            else:
                assert is_newer
        page = await store._tables.call("Scan", {"TableName": store._table})
        assert [(item["pk"]["S"], item["sk"]["S"]) for item in page["Items"]] == [("mark", old["sk"]["S"])]

    asyncio.run(story())


def test_an_empty_table_that_says_nothing_gets_the_newest_format_and_a_later_one_is_refused(
    client: Any,
) -> None:
    async def story() -> None:
        store = made(client)
        await store._tables.call("DeleteItem", {"TableName": store._table, "Key": FORMAT_ITEM})
        assert await DynamoDbStateStore(client, store._table).format() == 2
        later = {**FORMAT_ITEM, "format": {"N": "3"}}
        await store._tables.call("PutItem", {"TableName": store._table, "Item": later})
        with pytest.raises(StoreError, match="format 3; this version reads 1 to 2"):
            await DynamoDbStateStore(client, store._table).get("a")

    asyncio.run(story())
