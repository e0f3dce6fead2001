"""Requests about one table, `things`, as bytes, and a store that fails: for the tests of the HTTP server.

Rules of this file: no more than two files of tests both need.
"""

from typing import Final

from tailrace.errors import StoreError
from tailrace.ports import Commit
from tailrace.stores.memory import MemoryStore
from tests.serving import request

LIST: Final = request("ListTables", {})
CREATE: Final = request(
    "CreateTable",
    {
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    },
)


def put(pk: str, **more: object) -> bytes:
    return request("PutItem", {"TableName": "things", "Item": {"pk": {"S": pk}}, **more})


def get(pk: str, *lines: str) -> bytes:
    return request("GetItem", {"TableName": "things", "Key": {"pk": {"S": pk}}}, *lines)


class FailingStore(MemoryStore):
    """A store whose commits can be made to fail."""

    is_failing = False
    commits = 0

    def commit(self, commit: Commit) -> None:
        """Commit, or fail."""
        if self.is_failing:
            raise StoreError("the disk is full", hint="make room")
        self.commits += 1
        super().commit(commit)
