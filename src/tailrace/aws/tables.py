"""DynamoDB for state, projections and handlers' clients: through our client, or a user's of boto3's.

Theory of operation: operations by DynamoDB's names ("GetItem"), items in DynamoDB's own JSON, where a binary
is base64. Our client sends that as it is. A boto3 client wants bytes and gives bytes, so they are exchanged
on the way, and it is called in a thread, with the user's own settings: its retries, its session, its stubs.
Rules of this file: errors are AwsError, whichever it is. Called by stores/dynamodb.py, sinks/dynamodb_door.py
and sinks/projected_table.py.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any, Final, Protocol

from tailrace.aws.errors import AwsError, read_answer, verdict, verdict_here
from tailrace.aws.places import Access
from tailrace.runtime.threads import in_thread

Members = Mapping[str, Any]
SERVICE: Final = "dynamodb"
CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class Tables(Protocol):
    """DynamoDB at one endpoint."""

    async def call(self, operation: str, members: Members) -> Members:
        """One request. Raises: AwsError; ImportError without the extra `aws`."""

    def call_here(self, operation: str, members: Members) -> Members:
        """The same; this thread waits."""


class OurTables:
    """Through our client."""

    def __init__(self, access: Access) -> None:
        from tailrace.aws import client  # not for those who only give a client of boto3's

        self._access = access
        self._client = client

    async def call(self, operation: str, members: Members) -> Members:
        """One request."""
        return await self._client.call(self._access, SERVICE, python_name(operation), members)

    def call_here(self, operation: str, members: Members) -> Members:
        """The same; this thread waits."""
        return self._client.call_here(self._access, SERVICE, python_name(operation), members)


class GivenTables:
    """Through a boto3 `dynamodb` client of the user's, in a thread."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def call(self, operation: str, members: Members) -> Members:
        """One request."""
        return await in_thread(copy_context().run, self.call_here, operation, members)

    def call_here(self, operation: str, members: Members) -> Members:
        """The same; this thread waits."""
        from botocore.exceptions import BotoCoreError, ClientError

        name = python_name(operation)
        call = f"{SERVICE}.{name}"
        try:
            answer = getattr(self._client, name)(
                **{member: with_bytes(value) for member, value in members.items()}
            )
        except ClientError as error:
            code, words, status, beside = read_answer(error.response)
            judged = verdict(code, words, status=status, service=SERVICE, operation=name)
            encoded = {member: with_base64(value) for member, value in beside.items()}
            raise AwsError(call, judged, code, words, status=status, members=encoded) from error
        except BotoCoreError as error:
            judged = verdict_here(type(error).__name__, service=SERVICE, operation=name)
            raise AwsError(call, judged, "", str(error)) from error
        return {member: with_base64(value) for member, value in answer.items()}


def tables_of(client: Any) -> Tables:
    """DynamoDB where an access says, or through a boto3 client."""
    return OurTables(client) if isinstance(client, Access) else GivenTables(client)


def python_name(operation: str) -> str:
    """An operation as boto3 calls it.

    >>> python_name("TransactWriteItems")
    'transact_write_items'
    """
    return CAPITAL.sub("_", operation).lower()


def with_bytes(value: Any) -> Any:
    """Parameters as boto3 wants them: binaries, base64 in DynamoDB's JSON, as bytes, which it encodes itself.

    >>> with_bytes({"b": {"B": "AQI="}, "l": {"L": [{"BS": ["AQ=="]}]}})
    {'b': {'B': b'\\x01\\x02'}, 'l': {'L': [{'BS': [b'\\x01']}]}}
    """
    match value:
        case {"B": str(text)} if len(value) == 1:
            return {"B": b64decode(text)}
        case {"BS": list(texts)} if len(value) == 1 and all(isinstance(text, str) for text in texts):
            return {"BS": [b64decode(text) for text in texts]}
        case Mapping():
            return {name: with_bytes(inside) for name, inside in value.items()}
        case list() | tuple():
            return [with_bytes(inside) for inside in value]
    return value


def with_base64(value: Any) -> Any:
    """An answer as DynamoDB's JSON has it: what boto3 gives as bytes, in base64.

    >>> with_base64({"b": {"B": b"\\x01\\x02"}, "l": {"L": [{"BS": [b"\\x01"]}]}})
    {'b': {'B': 'AQI='}, 'l': {'L': [{'BS': ['AQ==']}]}}
    """
    match value:
        case bytes():
            return b64encode(value).decode()
        case dict():
            return {name: with_base64(inside) for name, inside in value.items()}
        case list():
            return [with_base64(inside) for inside in value]
    return value
