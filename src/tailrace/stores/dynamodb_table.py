"""The table that state is kept in, in DynamoDB: making it, and judging one that is there.

Rules of this file: it blocks; it changes nothing but in `create_table`, and never a table that somebody else
made. Called by stores/state_targets.py and tests.
"""

from collections.abc import Mapping
from threading import Event
from typing import Any, Final

from tailrace.aws.errors import AwsError, store_error
from tailrace.aws.tables import Tables, tables_of
from tailrace.rows.kinds import KINDS
from tailrace.stores.dynamodb import OLD_WORDS, format_item
from tailrace.stores.dynamodb_layout import FORMAT, FORMAT_ITEM, KEYS, OLDEST
from tailrace.stores.verdicts import NEWEST, PlaceVerdict

SOON_S: Final = 1.0
"""Between two looks at a table that is being made."""
SOME: Final = 25
"""Items that are looked at in a table that says nothing of itself."""


def table_request(table: str) -> dict[str, Any]:
    """What CreateTable is asked for."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in KEYS],
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in KEYS.items()],
    }


def create_table(client: Any, table: str) -> PlaceVerdict:
    """Make the table where it is not there, wait until it can be used, and mark it with the format of its
    rows. Returns: what is there now. Repeatable. Raises: StoreError. Blocks.
    """
    tables = tables_of(client)
    try:
        if _described(tables, table) is None:
            tables.call_here("CreateTable", table_request(table))
        while (_described(tables, table) or {}).get("TableStatus", "CREATING") == "CREATING":
            Event().wait(SOON_S)
        verdict = _judged(tables, table)
        if verdict.finding != "absent":
            return verdict
        tables.call_here("PutItem", {"TableName": table, "Item": format_item()})
        return _judged(tables, table)
    except AwsError as error:
        raise store_error(error, table) from error


def judge_table(client: Any, table: str) -> PlaceVerdict:
    """What is at a table's name. Changes nothing. Raises: StoreError. Blocks."""
    try:
        return _judged(tables_of(client), table)
    except AwsError as error:
        raise store_error(error, table) from error


def _judged(tables: Tables, table: str) -> PlaceVerdict:
    target = f"dynamodb:{table}"
    create = f"tailrace state create {target}"
    described = _described(tables, table)
    if described is None:
        return PlaceVerdict(target, "absent", "there is no such table", create)
    wrong = _wrong_keys(described)
    if wrong:
        return _foreign(target, wrong)
    asked = {"TableName": table, "Key": FORMAT_ITEM, "ConsistentRead": True}
    item = tables.call_here("GetItem", asked).get("Item")
    if item is None:
        return _unmarked(tables, table, target, create)
    number = int(item["format"]["N"])
    if number > FORMAT:
        return PlaceVerdict(target, "newer", f"it has format {number}; this version writes {FORMAT}", NEWEST)
    figures = {
        "format": number,
        "status": described.get("TableStatus"),
        "items": described.get("ItemCount", 0),
    }
    return PlaceVerdict(target, "ready", f"state of format {number}", figures=figures)


def _unmarked(tables: Tables, table: str, target: str, create: str) -> PlaceVerdict:
    """A table that does not say what is in it."""
    items = tables.call_here("Scan", {"TableName": table, "Limit": SOME, "ConsistentRead": True})["Items"]
    if not items:
        return PlaceVerdict(target, "absent", "the table is empty", create)
    strange = [item for item in items if "fields" not in item or item["pk"].get("S") not in KINDS]
    if strange:
        key = {name: next(iter(strange[0][name].values())) for name in KEYS}
        return _foreign(
            target, f"it holds items that are no state, such as pk {key['pk']!r}, sk {key['sk']!r}"
        )
    words = f"its rows have format {OLDEST}, which only marks ({' and '.join(OLD_WORDS)}) are kept in"
    another = "leave it to app.transactions, and make another: tailrace state create dynamodb:TABLE"
    return PlaceVerdict(target, "older", words, another)


def _wrong_keys(described: Mapping[str, Any]) -> str:
    """What is wrong about the keys of a table; "": nothing."""
    types = {known["AttributeName"]: known["AttributeType"] for known in described["AttributeDefinitions"]}
    schema = {
        key["AttributeName"]: (key["KeyType"], types[key["AttributeName"]]) for key in described["KeySchema"]
    }
    if schema == {name: (kind, "S") for name, kind in KEYS.items()}:
        return ""
    words = ", ".join(f"{name} {kind} {type_}" for name, (kind, type_) in schema.items())
    return f"its keys are {words}; state needs pk HASH S, sk RANGE S"


def _foreign(target: str, words: str) -> PlaceVerdict:
    return PlaceVerdict(target, "foreign", words, "name another table: tailrace state create dynamodb:TABLE")


def _described(tables: Tables, table: str) -> Mapping[str, Any] | None:
    try:
        described: Mapping[str, Any] = tables.call_here("DescribeTable", {"TableName": table})["Table"]
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return None
    return described
