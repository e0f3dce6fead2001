"""Which change a user means."""

from typing import Any

import pytest

from tailrace.server.why_targets import EventTarget, KeyTarget, TargetError, read_target
from tailrace.tables.schema import TableSchema

SHOP = TableSchema("shop", 16, "id-1", "pk", "S")
LINES = TableSchema("lines", 17, "id-2", "order", "S", "number", "N")
BLOBS = TableSchema("blobs", 18, "id-3", "pk", "B")
SCHEMAS = (SHOP, LINES, BLOBS)


@pytest.mark.parametrize(
    ("text", "table", "key"),
    [
        ("shop/o1", "shop", {"pk": {"S": "o1"}}),
        (" shop/a/b ", "shop", {"pk": {"S": "a/b"}}),
        ("lines/o1/07", "lines", {"order": {"S": "o1"}, "number": {"N": "7"}}),
        ("blobs/AQI=", "blobs", {"pk": {"B": "AQI="}}),
        ('shop/{"pk": "a/b"}', "shop", {"pk": {"S": "a/b"}}),
        ('shop/{"pk": {"S": "a"}}', "shop", {"pk": {"S": "a"}}),
        ('lines/{"order": "a/b", "number": 7.0}', "lines", {"order": {"S": "a/b"}, "number": {"N": "7"}}),
        ('{"number": {"N": "7"}, "order": "o"}', "lines", {"order": {"S": "o"}, "number": {"N": "7"}}),
    ],
)
def test_a_key_is_words_or_json(text: str, table: str, key: dict[str, Any]) -> None:
    assert read_target(text, SCHEMAS) == KeyTarget(table, key)


def test_a_table_of_another_region_is_named_by_its_arn() -> None:
    arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/shop"
    there = TableSchema(arn, 19, "id-4", "pk", "S")
    assert read_target(f"{arn}/a/b", (SHOP, there)) == KeyTarget(arn, {"pk": {"S": "a/b"}})
    with pytest.raises(TargetError, match="There is no table"):
        read_target(f"{arn}/a", SCHEMAS)


def test_an_event_id_is_thirty_two_hexadecimal_digits() -> None:
    assert read_target("0123456789abcdef" * 2, SCHEMAS) == EventTarget("0123456789abcdef" * 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither an event id nor a key"),
        ("shop", "neither an event id nor a key"),
        ("ship/o1", "no table 'ship'. There are: blobs, lines, shop"),
        ("shop/", "pk"),
        ("lines/o1", "order and number"),
        ("lines/a/b/7", "written as JSON"),
        ("lines/o1/seven", "no key of lines"),
        ("shop/{", "not JSON"),
        ('shop/{"id": "o1"}', "is pk"),
        ('shop/{"pk": true}', "no key of shop"),
        ('shop/{"pk": null}', "no key of shop"),
        ('{"pk": "o1"}', "fits shop, blobs"),
        ('{"other": "o1"}', "fits no table"),
    ],
)
def test_anything_else_is_refused_with_the_forms_that_work(text: str, message: str) -> None:
    with pytest.raises(TargetError) as raised:
        read_target(text, SCHEMAS)
    assert message in str(raised.value.args[0])
    assert "tailrace why TABLE/PK" in str(raised.value.hint)
