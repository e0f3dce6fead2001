"""Another DynamoDB as a handler's client asks it: that of `app.transactions`, through its boto3 client.

Rules of this file: one call a request, never repeated; a coroutine's runs in a thread. What an answer means is read in aws/errors.py. A write's ancestry
goes in the header that botocore's sessions add (runtime/causing.py). Made by compose.
"""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, Final

from tailrace.app.client import Members
from tailrace.aws.errors import AwsError, api_error, verdict
from tailrace.runtime.threads import in_thread
from tailrace.sinks.aws import failure_here
from tailrace.sinks.dynamodb_table import for_boto3

ITEMS: Final = frozenset(
    ("Item", "Key", "ExclusiveStartKey", "LastEvaluatedKey", "ExpressionAttributeValues")
)
CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class DynamoDbDoor:
    """Shape: `client` is a boto3 `dynamodb` client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, members: Members) -> Members:
        """One request, in this thread. Raises: ApiError, Throttled, Unavailable."""
        from botocore.exceptions import BotoCoreError, ClientError

        name = CAPITAL.sub("_", operation).lower()
        method: Callable[..., Any] = getattr(self._client, name)
        given = {member: for_boto3(value) if member in ITEMS else value for member, value in members.items()}
        try:
            answer = method(**given)
        except ClientError as error:
            raise _refusal(name, error.response) from error
        except BotoCoreError as error:
            raise failure_here("dynamodb", name, error) from error
        return {member: _read(member, value) for member, value in answer.items()}

    def begin(self, operation: str, members: Members) -> Awaitable[Members]:
        """One request, in a thread of the handler's mapping."""
        return in_thread(copy_context().run, self.call, operation, members)


def _refusal(name: str, response: Mapping[str, Any]) -> Exception:
    answer = response.get("Error", {})
    code, words = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = verdict(code, words, status=status, service="dynamodb", operation=name)
    return api_error(AwsError(f"dynamodb.{name}", said, code, words, status=status))


def _read(member: str, value: Any) -> Any:
    if member == "Items":
        return [_plain(item) for item in value]
    return _plain(value) if member in ITEMS else value


def _plain(value: Any) -> Any:
    """Attribute values as the wire has them: binaries in base64."""
    match value:
        case bytes():
            return b64encode(value).decode()
        case dict():
            return {name: _plain(inside) for name, inside in value.items()}
        case list():
            return [_plain(inside) for inside in value]
    return value
