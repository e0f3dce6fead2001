"""One line of DYNAMODB_JSON: an item, or a change of an incremental export.

Rules of this file: pure and hot (every exported item passes here once). A line holds what it must and nothing
else: a member that is not known is refused, since it would be lost. Whatever is wrong is `Unreadable`, with
the reason alone. Source: analytics §2.1; the time of a change has been seen as a number, as a text, and as
either inside N.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tailrace.errors import ApiError
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.unreadable import Unreadable
from tailrace.values.types import Item
from tailrace.values.wire import read_item

MICROS: Final = "WriteTimestampMicros"
MEMBERS: Final = frozenset(("Metadata", "Keys", "NewImage", "OldImage"))


def exported_of_json(line: bytes, is_full: bool | None) -> ExportedItem:
    """What a line says. Shape: `is_full` says which kind of line it must be, None: either.

    Raises:  Unreadable.

    >>> exported_of_json(b'{"Item":{"pk":{"S":"a"}}}', True).new
    {'pk': {'S': 'a'}}
    """
    try:
        members = orjson.loads(line)
    except ValueError as error:
        raise Unreadable(f"no JSON ({error})") from error
    return exported_of(members, is_full)


def exported_of(members: object, is_full: bool | None) -> ExportedItem:
    """The same of a line's members. It takes them over. Raises: Unreadable."""
    if type(members) is not dict:
        raise Unreadable(f"no object, but {type(members).__name__}")
    if "Item" in members:
        if is_full is False:
            raise Unreadable("an item of a full export among the changes of an incremental one")
        if len(members) != 1:
            raise Unreadable(f"beside Item stands {', '.join(sorted(members.keys() - {'Item'}))}")
        return ExportedItem(None, _image(members, "Item"))
    if is_full:
        raise Unreadable(f"no member Item; there are {', '.join(sorted(members)) or 'none'}")
    return _change(members)


def json_of(exported: ExportedItem) -> bytes:
    """The line of an item or a change, as DynamoDB writes it. Guarantee: read again it is the same."""
    if exported.keys is None or exported.written_us is None:
        return orjson.dumps({"Item": exported.new})
    members: dict[str, Any] = {"Metadata": {MICROS: {"N": str(exported.written_us)}}, "Keys": exported.keys}
    if exported.new is not None:
        members["NewImage"] = exported.new
    if exported.old is not None:
        members["OldImage"] = exported.old
    return orjson.dumps(members)


def _change(members: dict[str, Any]) -> ExportedItem:
    if unknown := members.keys() - MEMBERS:
        raise Unreadable(f"neither an item nor a change: it has {', '.join(sorted(unknown))}")
    metadata = members.get("Metadata")
    if type(metadata) is not dict or MICROS not in metadata:
        raise Unreadable(f"a change without Metadata.{MICROS}")
    if not members.get("Keys"):
        raise Unreadable("a change without Keys")
    return ExportedItem(
        _image(members, "Keys"),
        _image(members, "NewImage") if "NewImage" in members else None,
        _image(members, "OldImage") if "OldImage" in members else None,
        _micros(metadata[MICROS]),
    )


def _image(members: Mapping[str, Any], name: str) -> Item:
    try:
        return read_item(members[name])
    except ApiError as error:
        raise Unreadable(f"{name} is no item: {error.message}") from error


def _micros(value: object) -> int:
    """A number of microseconds: bare, or in the wrapper of an attribute."""
    inside = value["N"] if isinstance(value, dict) and len(value) == 1 and "N" in value else value
    if isinstance(inside, str) and inside.isascii() and inside.isdigit():
        return int(inside)
    if type(inside) is int and inside >= 0:
        return inside
    raise Unreadable(f"Metadata.{MICROS} is {value!r}, where a count of microseconds stands")
