"""Another DynamoDB, that of `app.transactions`, as a handler's client asks it: through boto3 or our client.

Rules of this file: one call a request, never repeated. What an answer means is read in aws/errors.py. A
write's ancestry goes in the header that our client adds, and that botocore's sessions do
(runtime/causing.py). Stands alone because `compose_worker`, which makes it, picks between it and the
engine's door.
"""

from typing import Any

from tailrace.app.client import Members
from tailrace.aws.errors import AwsError, api_error
from tailrace.aws.tables import tables_of


class DynamoDbDoor:
    """Shape: `client` is a boto3 `dynamodb` client, or an AwsAccess."""

    def __init__(self, client: Any) -> None:
        self._tables = tables_of(client)

    def call(self, operation: str, members: Members) -> Members:
        """One request; this thread waits for it. Raises: ApiError, Throttled, Unavailable."""
        try:
            return self._tables.call_here(operation, members)
        except AwsError as error:
            raise api_error(error) from error

    async def begin(self, operation: str, members: Members) -> Members:
        """One request; through a boto3 client in a thread of the handler's mapping."""
        try:
            return await self._tables.call(operation, members)
        except AwsError as error:
            raise api_error(error) from error
