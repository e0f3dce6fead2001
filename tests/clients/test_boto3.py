"""boto3, unmodified, over HTTP: clients, resources, paginators, waiters, threads."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

ACCOUNT = {"region_name": "ap-south-1", "aws_access_key_id": "who", "aws_secret_access_key": "ever"}
KEYS: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "at", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


@pytest.fixture
def resource(endpoint: str) -> Any:
    """The object-oriented interface."""
    return boto3.resource("dynamodb", endpoint_url=endpoint, **ACCOUNT)


def test_a_table_lives_its_life(resource: Any, table: str) -> None:
    made = resource.create_table(TableName=table, **KEYS)
    made.wait_until_exists()
    with made.batch_writer() as batch:
        for number in range(60):
            batch.put_item(
                Item={"pk": f"p{number % 3}", "at": number, "price": Decimal("9.90"), "tags": {"a", "b"}}
            )
    answer = made.query(
        KeyConditionExpression=Key("pk").eq("p1") & Key("at").between(10, 30),
        FilterExpression=Attr("tags").contains("a"),
    )
    assert [int(item["at"]) for item in answer["Items"]] == [10, 13, 16, 19, 22, 25, 28]
    made.update_item(
        Key={"pk": "p1", "at": 10},
        UpdateExpression="SET #p = #p + :more ADD n :one REMOVE tags",
        ExpressionAttributeNames={"#p": "price"},
        ExpressionAttributeValues={":more": Decimal("0.10"), ":one": 1},
    )
    assert made.get_item(Key={"pk": "p1", "at": 10})["Item"] == {
        "pk": "p1",
        "at": 10,
        "price": Decimal("10"),
        "n": Decimal("1"),
    }
    with pytest.raises(ClientError) as failure:
        made.put_item(Item={"pk": "p1", "at": 10}, ConditionExpression=Attr("pk").not_exists())
    assert failure.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    made.delete()
    made.wait_until_not_exists()


def test_paginators_and_batches_see_every_item(endpoint: str, table: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=endpoint, **ACCOUNT)
    client.create_table(TableName=table, **KEYS)
    for number in range(40):
        client.put_item(TableName=table, Item={"pk": {"S": "p"}, "at": {"N": str(number)}})
    pages = client.get_paginator("scan").paginate(TableName=table, PaginationConfig={"PageSize": 7})
    assert sum(page["Count"] for page in pages) == 40
    keys = [{"pk": {"S": "p"}, "at": {"N": str(number)}} for number in range(0, 80, 2)]
    answer = client.batch_get_item(RequestItems={table: {"Keys": keys}})
    assert len(answer["Responses"][table]) == 20
    assert table in [
        name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]
    ]


def test_many_threads_count_without_losing_one(endpoint: str, table: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=endpoint, **ACCOUNT)
    client.create_table(TableName=table, **KEYS)

    def add(_: int) -> None:
        client.update_item(
            TableName=table,
            Key={"pk": {"S": "p"}, "at": {"N": "0"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(200)))
    item = client.get_item(TableName=table, Key={"pk": {"S": "p"}, "at": {"N": "0"}})["Item"]
    assert item["n"] == {"N": "200"}


def test_a_stream_is_read_to_its_end(endpoint: str, table: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=endpoint, **ACCOUNT)
    streams = boto3.client("dynamodbstreams", endpoint_url=endpoint, **ACCOUNT)
    arn = client.create_table(TableName=table, **KEYS)["TableDescription"]["LatestStreamArn"]
    for number in range(30):
        client.put_item(TableName=table, Item={"pk": {"S": "p"}, "at": {"N": str(number)}})
    shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    seen = []
    for shard in shards:
        token = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while len(seen) < 30:
            answer = streams.get_records(ShardIterator=token, Limit=11)
            seen += [record["dynamodb"]["Keys"]["at"]["N"] for record in answer["Records"]]
            token = answer["NextShardIterator"]
    assert seen == [str(number) for number in range(30)]


def test_a_large_item_travels_both_ways(endpoint: str, table: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=endpoint, **ACCOUNT)
    client.create_table(TableName=table, **KEYS)
    item = {"pk": {"S": "p"}, "at": {"N": "0"}, "data": {"B": bytes(range(256)) * 1_500}}
    client.put_item(TableName=table, Item=item)
    assert client.get_item(TableName=table, Key={"pk": {"S": "p"}, "at": {"N": "0"}})["Item"] == item
