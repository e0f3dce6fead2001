"""A table at an endpoint as a comparison reads it: keys that were not read are asked again, in hundreds."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tailrace.app.table import Table
from tailrace.aws import client
from tailrace.aws.places import Access
from tailrace.errors import SourceError
from tailrace.sources.table_readers import MOST_KEYS, FarReader

TABLE = Table("orders", "id")


def key(number: int) -> dict[str, Any]:
    return {"id": {"S": f"o{number}"}}


class Server:
    """Answers BatchGetItem: at most so many keys of a request, of items with even numbers."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.asked: list[int] = []

    async def call(
        self, access: Access, service: str, operation: str, members: Mapping[str, Any]
    ) -> dict[str, Any]:
        keys = members["RequestItems"]["orders"]["Keys"]
        assert members["RequestItems"]["orders"]["ConsistentRead"]
        self.asked.append(len(keys))
        read, left = keys[: self.at_once], keys[self.at_once :]
        items = [{**one, "n": {"N": "1.0"}} for one in read if int(one["id"]["S"][1:]) % 2 == 0]
        unread = {"orders": {"Keys": left}} if left else {}
        return {"Responses": {"orders": items}, "UnprocessedKeys": unread}


@pytest.mark.parametrize(
    ("keys", "at_once", "asked"), [(4, 100, [4]), (7, 3, [7, 4, 1]), (3, 1, [3, 2, 1]), (101, 100, [100, 1])]
)
def test_every_key_is_read_in_its_place(
    keys: int, at_once: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(at_once)
    monkeypatch.setattr(client, "call", server.call)
    wanted = [key(number) for number in range(keys)]
    items = asyncio.run(FarReader(Access(), TABLE).items(wanted))
    assert items == [
        {**one, "n": {"N": "1"}} if number % 2 == 0 else None for number, one in enumerate(wanted)
    ]
    assert server.asked == asked
    assert max(server.asked) <= MOST_KEYS


def test_a_table_that_reads_nothing_at_all_is_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "call", Server(0).call)
    with pytest.raises(SourceError, match="it is throttled"):
        asyncio.run(FarReader(Access(), TABLE).items([key(0)]))
