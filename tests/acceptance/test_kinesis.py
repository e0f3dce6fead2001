"""Data streams through boto3 against `tailrace serve` and `tailrace dev`, as real processes.

Rules of this file: one server for all tests but the last, each with a stream of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.command_line import tailrace
from tests.crash.node import Node, free_port

APP = """
from tailrace import App

app = App("shop")
"""


def client(node: Node) -> Any:
    """boto3's client of a node."""
    return boto3.client(
        "kinesis",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{node.port}",
        aws_access_key_id="any",
        aws_secret_access_key="thing",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server that holds shards to their limits, under a clock that is driven."""
    directory = tmp_path_factory.mktemp("kinesis")
    (directory / "data").mkdir()
    serving = Node(directory, free_port(), ("serve", "--shard-limits", "--clock", "manual"))
    serving.start()
    try:
        serving.wait_until_answering()
        yield serving
    finally:
        serving.kill()


@pytest.fixture
def kinesis(node: Node) -> Any:
    """A client of it."""
    return client(node)


def read(kinesis: Any, name: str, shard: str) -> tuple[list[bytes], list[str]]:
    """What a shard has, to its end or its tip, and the children at its end."""
    token = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    page = kinesis.get_records(ShardIterator=token["ShardIterator"])
    return [record["Data"] for record in page["Records"]], [
        child["ShardId"] for child in page.get("ChildShards", ())
    ]


def test_an_application_follows_a_stream_through_a_split(kinesis: Any) -> None:
    kinesis.create_stream(StreamName="clicks", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="clicks")
    kinesis.put_record(StreamName="clicks", Data=b"before", PartitionKey="a")
    (parent,) = (shard["ShardId"] for shard in kinesis.list_shards(StreamName="clicks")["Shards"])
    kinesis.split_shard(StreamName="clicks", ShardToSplit=parent, NewStartingHashKey=str(2**127))
    kinesis.put_record(StreamName="clicks", Data=b"after", PartitionKey="a")
    records, children = read(kinesis, "clicks", parent)
    assert records == [b"before"]
    assert [read(kinesis, "clicks", child) for child in children] == [([b"after"], []), ([], [])]
    kinesis.delete_stream(StreamName="clicks")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="clicks")


def test_limits_of_shards_are_held_where_the_command_line_asks_for_them(kinesis: Any) -> None:
    kinesis.create_stream(StreamName="busy", ShardCount=1)
    records = [{"Data": b"", "PartitionKey": "a"}] * 500
    counts = [kinesis.put_records(StreamName="busy", Records=records)["FailedRecordCount"] for _ in range(3)]
    assert counts == [0, 0, 500]


def test_retention_is_under_the_clock_of_the_server(kinesis: Any, node: Node) -> None:
    kinesis.create_stream(StreamName="old", ShardCount=1)
    kinesis.put_record(StreamName="old", Data=b"1", PartitionKey="a")
    shard = "shardId-000000000000"
    assert read(kinesis, "old", shard)[0] == [b"1"]
    assert tailrace("clock", "advance", "24h1s", *node.place).returncode == 0
    assert read(kinesis, "old", shard)[0] == []


def test_streams_of_regions_are_apart(node: Node, kinesis: Any) -> None:
    kinesis.create_stream(StreamName="here", ShardCount=1)
    elsewhere = boto3.client(
        "kinesis",
        region_name="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{node.port}",
        aws_access_key_id="any",
        aws_secret_access_key="thing",
    )
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.describe_stream_summary(StreamName="here")


def test_coverage_lists_what_is_there_and_what_is_not() -> None:
    listed = json.loads(tailrace("coverage", "--json").stdout)
    states = {one["operation"]: one["state"] for one in listed if one["service"] == "Kinesis_20131202"}
    assert len(states) == 57
    assert (states["PutRecords"], states["CreateQueue"], states["CreateStream"]) == ("yes", "no", "partly")


def test_dev_answers_for_data_streams_and_check_reads_what_it_left(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    node = Node(tmp_path, free_port(), ("dev", str(tmp_path / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        kinesis = client(node)
        kinesis.create_stream(StreamName="orders", ShardCount=2)
        kinesis.put_record(StreamName="orders", Data=b"1", PartitionKey="a")
        assert node.stop() == 0
        checked = tailrace("check", *node.place)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        node.start()
        node.wait_until_answering()
        assert read(client(node), "orders", "shardId-000000000000") == ([b"1"], [])
    finally:
        node.kill()
