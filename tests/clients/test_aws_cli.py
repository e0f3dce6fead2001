"""The AWS CLI, unmodified, as a subprocess.

Rules of this file: what the CLI cannot do is not here: it has no `subscribe-to-shard`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "who",
    "AWS_SECRET_ACCESS_KEY": "ever",
    "AWS_DEFAULT_REGION": "sa-east-1",
    "AWS_PAGER": "",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def aws(endpoint: str, service: str, *words: str) -> Any:
    """Run the CLI. Returns: its JSON, or its error text."""
    command = [
        str(Path(sys.executable).parent / "aws"),
        service,
        *words,
        "--endpoint-url",
        endpoint,
        "--output",
        "json",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **ENVIRONMENT},
        check=False,
    )
    if done.returncode:
        return done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_a_table_is_made_written_read_and_followed(endpoint: str, table: str) -> None:
    made = aws(
        endpoint,
        "dynamodb",
        "create-table",
        "--table-name",
        table,
        "--billing-mode",
        "PAY_PER_REQUEST",
        "--attribute-definitions",
        "AttributeName=pk,AttributeType=S",
        "--key-schema",
        "AttributeName=pk,KeyType=HASH",
        "--stream-specification",
        "StreamEnabled=true,StreamViewType=NEW_IMAGE",
    )
    arn = made["TableDescription"]["LatestStreamArn"]
    item = {"pk": {"S": "a"}, "n": {"N": "1"}}
    assert aws(endpoint, "dynamodb", "put-item", "--table-name", table, "--item", json.dumps(item)) == {}
    answer = aws(endpoint, "dynamodb", "scan", "--table-name", table)
    assert (answer["Count"], answer["Items"]) == (1, [item])
    refused = aws(
        endpoint,
        "dynamodb",
        "put-item",
        "--table-name",
        table,
        "--item",
        json.dumps(item),
        "--condition-expression",
        "attribute_not_exists(pk)",
    )
    assert "(ConditionalCheckFailedException)" in refused
    assert "The conditional request failed" in refused
    described = aws(endpoint, "dynamodbstreams", "describe-stream", "--stream-arn", arn)["StreamDescription"]
    shard = described["Shards"][0]["ShardId"]
    token = aws(
        endpoint,
        "dynamodbstreams",
        "get-shard-iterator",
        "--stream-arn",
        arn,
        "--shard-id",
        shard,
        "--shard-iterator-type",
        "TRIM_HORIZON",
    )["ShardIterator"]
    records = aws(endpoint, "dynamodbstreams", "get-records", "--shard-iterator", token)["Records"]
    assert [record["dynamodb"]["NewImage"] for record in records] == [item]


def test_a_data_stream_is_written_and_read_and_has_a_consumer(endpoint: str, table: str) -> None:
    def kinesis(operation: str, *words: str) -> Any:
        return aws(endpoint, "kinesis", operation, *words)

    assert kinesis("create-stream", "--stream-name", table, "--shard-count", "2") == {}
    summary = kinesis("describe-stream-summary", "--stream-name", table)["StreamDescriptionSummary"]
    put = kinesis("put-record", "--stream-name", table, "--partition-key", "a", "--data", "one")
    named = ("--stream-name", table, "--shard-id", put["ShardId"])
    iterator = kinesis("get-shard-iterator", *named, "--shard-iterator-type", "TRIM_HORIZON")
    (record,) = kinesis("get-records", "--shard-iterator", iterator["ShardIterator"])["Records"]
    assert (record["Data"], record["SequenceNumber"]) == ("b25l", put["SequenceNumber"])
    entries = [{"PartitionKey": key, "Data": key} for key in ("a", "b")]
    answer = kinesis("put-records", "--stream-name", table, "--records", json.dumps(entries))
    assert answer["FailedRecordCount"] == 0
    assert answer["Records"][0]["ShardId"] == put["ShardId"]
    named = ("--stream-arn", summary["StreamARN"], "--consumer-name", "mail")
    assert kinesis("register-stream-consumer", *named)["Consumer"]["ConsumerName"] == "mail"
    assert "ResourceInUseException" in kinesis("register-stream-consumer", *named)
    delete = ("delete-stream", "--stream-name", table)
    assert "ResourceInUseException" in kinesis(*delete)
    assert kinesis(*delete, "--enforce-consumer-deletion") == {}
