"""State in a DynamoDB table keeps the contract, through boto3's client and ours, against
the engine's own server.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tailrace.aws.errors import AwsError, verdict
from tailrace.aws.places import KNOWN
from tailrace.errors import ApiError, StateConflict, StoreError
from tailrace.leases.checkpoint import mark_write
from tailrace.ports import ItemWrite, StateStore
from tailrace.rows.writes import Write
from tailrace.sinks.aws import AwsAccess
from tailrace.stores.dynamodb import DynamoDbStateStore, refusal
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
    store = DynamoDbStateStore(client, f"state-{next(numbers)}")
    store.create()
    return store


def test_it_keeps_the_contract(client: Any) -> None:
    def make() -> StateStore:
        return made(client)

    check_state_store(make, has_tables=True)


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
        (["ConditionalCheckFailed", "None"], StateConflict), (["None", "ConditionalCheckFailed"], ApiError),
        (["TransactionConflict", "ConditionalCheckFailed"], StoreError),
        (["None", "ValidationError"], ApiError),
    ],
)  # fmt: skip
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
