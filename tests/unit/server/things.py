"""Requests about one table, `things`, as bytes: for the tests of the HTTP server.

Rules of this file: no more than test_http.py and test_group_commit.py both send.
"""

from typing import Final

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
