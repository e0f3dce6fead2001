"""Shortcuts for tests of destinations: the table `things` copied into the data stream `orders`."""

import json
from typing import Any

from tests.conformance.client import Conformance
from tests.conformance.kinesis import ARN, shard_ids

MISSING = ARN.replace("orders", "missing")


def destine(api: Conformance, method: str, arn: str = ARN, **more: Any) -> dict[str, Any]:
    """Enable, disable or update the destination of `things`; the answer without metadata."""
    call = getattr(api.dynamodb, f"{method}_kinesis_streaming_destination")
    answer: dict[str, Any] = call(TableName="things", StreamArn=arn, **more)
    answer.pop("ResponseMetadata")
    return answer


def destinations(api: Conformance, table: str = "things") -> list[dict[str, Any]]:
    """What Describe says."""
    answer: list[dict[str, Any]] = api.dynamodb.describe_kinesis_streaming_destination(TableName=table)[
        "KinesisDataStreamDestinations"
    ]
    return answer


def status(api: Conformance) -> str:
    """The status of the only destination."""
    ((only,),) = ([one["DestinationStatus"] for one in destinations(api)],)
    return str(only)


def deliver(api: Conformance) -> None:
    """One round of deliveries, each slice durable."""
    api.engine.committer.flush()
    for _ in api.engine.destinations.deliveries.slices():
        api.engine.committer.flush()


def records(api: Conformance, name: str = "orders") -> list[dict[str, Any]]:
    """Every record of a data stream, shard by shard, as the data say."""
    return [json.loads(record["Data"]) for record in raw_records(api, name)]


def raw_records(api: Conformance, name: str = "orders") -> list[dict[str, Any]]:
    """The same as GetRecords has them."""
    deliver(api)
    every: list[dict[str, Any]] = []
    for shard in shard_ids(api, name):
        token = api.kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while token is not None:
            page = api.kinesis.get_records(ShardIterator=token)
            every += page["Records"]
            token = page.get("NextShardIterator") if page["Records"] else None
    return every
