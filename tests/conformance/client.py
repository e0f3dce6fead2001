"""boto3 on the in-process server: real clients, real bytes, no sockets.

Rules of this file: botocore builds, signs and parses as always; only the sending is ours. Parameter
validation of botocore is off, so that what a client must not send reaches the server too.
"""

import json
from copy import copy
from functools import cache
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from tailrace.engine.engine import Engine
from tailrace.server.inprocess import InProcess

SIGNED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
}


class Raw:
    """A body that botocore can read twice."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


class Door:
    """Stands where botocore has its connections: what is sent through it is asked of a server here."""

    def __init__(self, server: InProcess) -> None:
        self._server = server

    def send(self, request: Any) -> AWSResponse:
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        answer = self._server.call(dict(request.headers.items()), body)
        return AWSResponse(request.url, answer.status, answer.headers, Raw(answer.body))

    def close(self) -> None:
        """Nothing is open."""


@cache
def session() -> boto3.session.Session:
    """One session for all clients: it reads the service models once."""
    return boto3.session.Session()


@cache
def _made(service: str, region: str, key: str) -> Any:
    """A client that is copied, for making one takes longer than most tests."""
    return session().client(
        service,
        region_name=region,
        endpoint_url="http://localhost:1",
        aws_access_key_id=key,
        aws_secret_access_key="thing",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def client(server: InProcess, service: str, region: str = "us-east-1", key: str = "any") -> Any:
    """A boto3 client of `dynamodb` or `dynamodbstreams` that talks to the server in this process."""
    pattern = _made(service, region, key)
    made = object.__new__(type(pattern))  # not copy.copy, which asks for an attribute before there are any
    endpoint = copy(pattern._endpoint)
    endpoint.http_session = Door(server)
    vars(made).update(vars(pattern), _endpoint=endpoint)
    return made


class Conformance:
    """One engine, its clients, and shortcuts that tests read well with."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.server = InProcess(engine)
        self.dynamodb = client(self.server, "dynamodb")
        self.streams = client(self.server, "dynamodbstreams")
        self.kinesis = client(self.server, "kinesis")

    def raw(
        self, operation: str, payload: Any, service: str = "DynamoDB_20120810"
    ) -> tuple[int, dict[str, Any]]:
        """Status and decoded body of a request with any JSON in it."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {
            **SIGNED,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{service}.{operation}",
        }
        answer = self.server.call(headers, body)
        return answer.status, json.loads(answer.body)

    def refusal(self, operation: str, **parameters: Any) -> tuple[str, str]:
        """Code and message of the error that a call ends in."""
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip(
            "_"
        )
        service = self.dynamodb if hasattr(self.dynamodb, name) else self.streams
        try:
            answer = getattr(service, name)(**parameters)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise AssertionError(f"{operation} was not refused: {answer}")

    def invalid(self, operation: str, **parameters: Any) -> str:
        """The message of the ValidationException that a call ends in."""
        code, message = self.refusal(operation, **parameters)
        assert code == "ValidationException", (code, message)
        return message

    def table(self, name: str = "things", *, sort: str | None = "sk", view: str | None = None) -> str:
        """Create a table with partition key `pk` (S) and, unless told otherwise, sort key `sk` (S)."""
        keys = ["pk"] if sort is None else ["pk", sort]
        stream = (
            {} if view is None else {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}
        )
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            **stream,
        )
        return name

    def put(self, pk: str, sk: str = "a", table: str = "things", **attributes: Any) -> dict[str, Any]:
        """Put an item of DynamoDB JSON attributes. Returns: the item."""
        item = {"pk": {"S": pk}, "sk": {"S": sk}, **attributes}
        self.dynamodb.put_item(TableName=table, Item=item)
        return item

    def get(self, pk: str, sk: str = "a", table: str = "things") -> dict[str, Any] | None:
        """The stored item."""
        answer: dict[str, Any] = self.dynamodb.get_item(TableName=table, Key=key(pk, sk))
        return answer.get("Item")


def key(pk: str, sk: str = "a") -> dict[str, Any]:
    """The key of an item of the usual table."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}
