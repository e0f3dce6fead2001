"""A sample from afar: every segment its share, page by page, and no item more than was asked for."""

import asyncio
from typing import Any

import pytest

from tailrace.aws import client
from tailrace.aws.errors import AwsError, verdict
from tailrace.aws.places import Access
from tailrace.errors import TailraceError
from tailrace.sources.far_sample import SEGMENTS, FarSample, sample_table

TABLE = {
    "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "pk", "AttributeType": "S"},
    ],
    "ItemCount": 1_000,
}


class Server:
    """Answers scans of segments of so many items, three a page, at half a unit a page."""

    def __init__(self, in_segment: int) -> None:
        self.in_segment = in_segment
        self.scans: list[dict[str, Any]] = []

    async def call(
        self, access: Access, service: str, operation: str, members: dict[str, Any]
    ) -> dict[str, Any]:
        if operation == "describe_table":
            return {"Table": TABLE}
        self.scans.append(members)
        start = int(members.get("ExclusiveStartKey", {}).get("sk", {}).get("N", 0))
        end = min(self.in_segment, start + 3, start + members["Limit"])
        items = [{"pk": {"S": str(members["Segment"])}, "sk": {"N": f"{n}.0"}} for n in range(start, end)]
        answer: dict[str, Any] = {"Items": items, "ConsumedCapacity": {"CapacityUnits": 0.5}}
        if end < self.in_segment:
            answer["LastEvaluatedKey"] = {"pk": {"S": "x"}, "sk": {"N": str(end)}}
        return answer


def sampled(monkeypatch: pytest.MonkeyPatch, server: Server, most: int) -> FarSample:
    monkeypatch.setattr(client, "call", server.call)
    return asyncio.run(sample_table(Access("eu-west-1"), "shop", most))


def test_every_segment_gives_its_share_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(in_segment=100)
    sample = sampled(monkeypatch, server, 5 * SEGMENTS)
    assert sample.keys == [("pk", "S"), ("sk", "N")]
    assert sample.count == 1_000
    assert [item["pk"]["S"] for item in sample.items] == [str(n) for n in range(SEGMENTS) for _ in range(5)]
    assert sample.items[1]["sk"] == {"N": "1"}, "items are canonical"
    assert sample.read_units == 2 * 0.5 * SEGMENTS
    assert {scan["Limit"] for scan in server.scans} == {5, 2}
    assert not any(scan.get("ConsistentRead") for scan in server.scans)


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (3, 3), (9, 9), (1_000, 4 * SEGMENTS)])
def test_no_item_more_than_asked_for_or_than_there_are(
    monkeypatch: pytest.MonkeyPatch, most: int, expected: int
) -> None:
    assert len(sampled(monkeypatch, Server(in_segment=4), most).items) == expected


def test_a_table_that_is_not_there_is_said_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(access: Access, service: str, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        missing = "ResourceNotFoundException"
        raise AwsError("dynamodb.describe_table", verdict(missing), missing, "not found")

    monkeypatch.setattr(client, "call", refuse)
    with pytest.raises(TailraceError, match="There is no table 'shop' at AWS in eu-west-1") as raised:
        asyncio.run(sample_table(Access("eu-west-1"), "shop", 10))
    assert raised.value.hint == "correct its name, --region or --endpoint"
