"""What `tailrace why` is asked about: a change by its event id, or an item as `table/pk[/sk]` or by its key
as JSON.

Rules of this file: text and schemas in, values out; it reads nothing. Called by `story`.
"""

import json
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import Struct

from tailrace.errors import ApiError, TailraceError
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item
from tailrace.values.wire import read_item

EVENT_ID: Final = re.compile(r"[0-9a-f]{32}|shardId-[0-9]{12}:[0-9]{1,56}")
FORMS: Final = "tailrace why TABLE/PK, TABLE/PK/SK, 'TABLE/{\"pk\": …}' or an event id"


class TargetError(TailraceError):
    """The text does not name a change."""


class EventTarget(Struct, frozen=True):
    """One change, by its id."""

    event_id: str


class KeyTarget(Struct, frozen=True):
    """An item, by its key in DynamoDB JSON."""

    table: str
    key: Item


Target: TypeAlias = EventTarget | KeyTarget


def read_target(text: str, schemas: Iterable[TableSchema]) -> Target:
    """What a text names. Raises: TargetError with the forms that work."""
    text = text.strip()
    if EVENT_ID.fullmatch(text):
        return EventTarget(text)
    known = {schema.name: schema for schema in schemas}
    if text.startswith("{"):
        return _by_json_alone(text, known.values())
    table, slash, rest = text.partition("/")
    if text.startswith("arn:"):  # a table of another region or account, whose ARN has a slash of its own
        table = next((name for name in known if text.startswith(f"{name}/")), table)
        rest = text[len(table) + 1 :]
    if not slash:
        raise TargetError(f"{text!r} is neither an event id nor a key.", hint=FORMS)
    if table not in known:
        raise TargetError(
            f"There is no table {table!r}. There are: {', '.join(sorted(known)) or 'none'}.", hint=FORMS
        )
    schema = known[table]
    if rest.startswith("{"):
        return KeyTarget(table, _key(schema, _read_json(rest)))
    return KeyTarget(table, _key_of_words(schema, rest))


def _by_json_alone(text: str, schemas: Iterable[TableSchema]) -> KeyTarget:
    members = _read_json(text)
    fitting = [schema for schema in schemas if set(schema.key_names) == set(members)]
    if len(fitting) != 1:
        tables = ", ".join(schema.name for schema in fitting) or "no table"
        raise TargetError(f"A key of {', '.join(members)} fits {tables}: name the table.", hint=FORMS)
    return KeyTarget(fitting[0].name, _key(fitting[0], members))


def _read_json(text: str) -> dict[str, object]:
    try:
        members = json.loads(text, parse_float=str, parse_int=str)
    except json.JSONDecodeError as error:
        raise TargetError(f"The key is not JSON: {error}.", hint=FORMS) from error
    if not isinstance(members, dict):
        raise TargetError("The key is not a JSON object.", hint=FORMS)
    return members


def _key(schema: TableSchema, members: dict[str, object]) -> Item:
    """A key from JSON, with DynamoDB's type letters or without."""
    names = schema.key_names
    if set(members) != set(names):
        raise TargetError(f"A key of {schema.name} is {' and '.join(names)}.", hint=FORMS)
    key: dict[str, dict[str, object]] = {}
    for name, kind in zip(names, _kinds(schema), strict=True):
        value = members[name]
        if isinstance(value, dict) and set(value) == {kind}:
            value = value[kind]
        key[name] = {kind: value}
    return _canonical(schema, key)


def _key_of_words(schema: TableSchema, rest: str) -> Item:
    names = schema.key_names
    words = [rest] if len(names) == 1 else rest.split("/")
    if len(words) != len(names) or not all(words):
        raise TargetError(
            f"A key of {schema.name} is {' and '.join(names)}, and {rest!r} is not: "
            "a value with a slash in it is written as JSON.",
            hint=FORMS,
        )
    return _canonical(
        schema, {name: {kind: word} for name, kind, word in zip(names, _kinds(schema), words, strict=True)}
    )


def _canonical(schema: TableSchema, key: dict[str, dict[str, object]]) -> Item:
    try:
        item = read_item(key)
        schema.check_key(item)
    except ApiError as error:
        raise TargetError(f"That is no key of {schema.name}: {error.args[0]}.", hint=FORMS) from error
    return item


def _kinds(schema: TableSchema) -> tuple[str, ...]:
    return (schema.hash_type,) if schema.range_type is None else (schema.hash_type, schema.range_type)
