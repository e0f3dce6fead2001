"""Shortcuts for tests of data streams: the stream `orders`, its shards, what is read and what is refused."""

from typing import Any

from botocore.exceptions import ClientError

from tests.conformance.client import Conformance

ACCOUNT = "000000000000"
ARN = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/orders"


def stream(api: Conformance, shards: int = 1, name: str = "orders") -> None:
    """Make a provisioned stream."""
    api.kinesis.create_stream(StreamName=name, ShardCount=shards)


def shard_ids(api: Conformance, name: str = "orders", **chosen: Any) -> list[str]:
    """The ids of the shards that are listed."""
    shards = api.kinesis.list_shards(StreamName=name, **chosen)["Shards"]
    return [shard["ShardId"] for shard in shards]


def token(api: Conformance, kind: str = "TRIM_HORIZON", name: str = "orders", **more: Any) -> str:
    """An iterator of the first shard."""
    made: str = api.kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard_ids(api, name)[0], ShardIteratorType=kind, **more
    )["ShardIterator"]
    return made


def read(api: Conformance, shard: str | None = None, name: str = "orders") -> dict[str, Any]:
    """The first page of a shard, of the first one unless told otherwise."""
    begin = api.kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard or shard_ids(api, name)[0], ShardIteratorType="TRIM_HORIZON"
    )
    answer: dict[str, Any] = api.kinesis.get_records(ShardIterator=begin["ShardIterator"])
    return answer


def refused(
    api: Conformance, method: str, *, name: str | None = "orders", **parameters: Any
) -> tuple[str, str]:
    """Code and message of the error that a call ends in."""
    named = {} if name is None else {"StreamName": name}
    try:
        answer = getattr(api.kinesis, method)(**named, **parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    raise AssertionError(f"{method} was not refused: {answer}")
