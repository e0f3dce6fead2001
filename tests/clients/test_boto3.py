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


def test_a_data_stream_lives_its_life(endpoint: str, table: str) -> None:
    kinesis = boto3.client("kinesis", endpoint_url=endpoint, **ACCOUNT)
    kinesis.create_stream(StreamName=table, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=table)
    entries = [{"PartitionKey": f"key {number}", "Data": b"%d" % number} for number in range(30)]
    put = kinesis.put_records(StreamName=table, Records=entries)
    shards = [entry["ShardId"] for entry in put["Records"]]
    first, second = sorted(set(shards))
    assert put["FailedRecordCount"] == 0
    kinesis.merge_shards(StreamName=table, ShardToMerge=first, AdjacentShardToMerge=second)
    again = kinesis.put_record(StreamName=table, PartitionKey="key 0", Data=b"merged")
    for shard in (first, second):
        texts, children = read(kinesis, table, shard)
        assert texts == [b"%d" % number for number, place in enumerate(shards) if place == shard]
        assert children == [again["ShardId"]]
    assert read(kinesis, table, again["ShardId"]) == ([b"merged"], [])
    summary = kinesis.describe_stream_summary(StreamName=table)["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["ConsumerCount"]) == (1, 0)
    pages = kinesis.get_paginator("describe_stream").paginate(
        StreamName=table, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["StreamDescription"]["Shards"]) for page in pages] == [2, 1]
    consumer = kinesis.register_stream_consumer(StreamARN=summary["StreamARN"], ConsumerName="mail")[
        "Consumer"
    ]
    subscribed = kinesis.subscribe_to_shard(
        ConsumerARN=consumer["ConsumerARN"],
        ShardId=again["ShardId"],
        StartingPosition={"Type": "TRIM_HORIZON"},
    )["EventStream"]
    told = next(iter(subscribed))["SubscribeToShardEvent"]
    assert [record["Data"] for record in told["Records"]] == [b"merged"]
    subscribed.close()
    with pytest.raises(ClientError) as failure:
        kinesis.put_record(StreamName="nothing", PartitionKey="a", Data=b"")
    assert failure.value.response["Error"]["Code"] == "ResourceNotFoundException"
    kinesis.delete_stream(StreamName=table, EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=table)


def read(kinesis: Any, stream: str, shard: str) -> tuple[list[bytes], list[str]]:
    """A shard's records to its end or its tip, seven a page, and the shards that continue it."""
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    texts: list[bytes] = []
    while True:
        page = kinesis.get_records(ShardIterator=iterator, Limit=7)
        texts += [record["Data"] for record in page["Records"]]
        iterator = page.get("NextShardIterator")
        if iterator is None or not page["Records"]:
            return texts, [child["ShardId"] for child in page.get("ChildShards", [])]
