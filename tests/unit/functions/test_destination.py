"""DestinationConfig of a function, from its process to a queue behind a real AWS client."""

import asyncio
import json
from typing import Any

import pytest

from tailrace import App
from tailrace.compose import EngineOptions, running_worker
from tailrace.tables.mutate import Put
from tests.patience import eventually
from tests.unit.functions import handlers
from tests.unit.sinks.moto_server import client, moto


def test_the_queue_of_a_function_gets_the_failure_document(monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as access:
        given = {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": str(access.endpoint_url),
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        sqs = client("sqs", access)
        url = sqs.create_queue(QueueName="late")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        app = App("shop")
        orders = app.table("orders", pk="id")
        app.function(
            handlers.fails,
            orders,
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": arn}},
        )
        document = asyncio.run(told(app, sqs, url))
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["functionArn"].endswith(":function:fails")
    assert document["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert document["DDBStreamBatchInfo"]["batchSize"] == 1


async def told(app: App, sqs: Any, url: str) -> Any:
    """The document, as soon as the queue has it."""
    async with running_worker(app, EngineOptions()) as engine:
        engine.put(Put("orders", {"id": {"S": "a"}}))
        engine.committer.flush()

        def heard() -> Any:
            return sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages")

        return json.loads((await asyncio.to_thread(eventually, heard))[0]["Body"])
