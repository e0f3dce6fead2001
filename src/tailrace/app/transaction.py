"""`change.transaction`: writes that are recorded now and committed, with a mark, after the handler has returned.

Rules of this file: nothing is written here, so nothing is written when the handler fails. The limits are those of
TransactWriteItems less one action for the mark. Committed by runtime/effects.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tailrace.app.plain import to_attribute, to_item
from tailrace.app.table import Table
from tailrace.errors import SettingsError
from tailrace.ports import ItemWrite
from tailrace.values.size import size_bytes

ACTIONS: Final = 99
BYTES: Final = 4_000_000


class Transaction:
    """Recorded writes. Items, keys and values are plain Python; expressions are DynamoDB's."""

    __slots__ = ("_size", "_writes")

    def __init__(self) -> None:
        self._writes: list[ItemWrite] = []
        self._size = 0

    @property
    def writes(self) -> Sequence[ItemWrite]:
        """What was recorded, in order."""
        return tuple(self._writes)

    def put(
        self, table: Table | str, item: Mapping[str, Any], *, condition: str | None = None,
        names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Put an item, if the condition holds."""
        content = to_item(item)
        self._size += size_bytes(content)
        self._record("Put", table, {"Item": content, "ConditionExpression": condition}, names, values)

    def update(
        self, table: Table | str, key: Mapping[str, Any], expression: str, *, condition: str | None = None,
        names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Update an item, making it where it is absent, if the condition holds."""
        parameters = {"Key": to_item(key), "UpdateExpression": expression, "ConditionExpression": condition}
        self._record("Update", table, parameters, names, values)

    def delete(
        self, table: Table | str, key: Mapping[str, Any], *, condition: str | None = None,
        names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Delete an item, if the condition holds."""
        self._record("Delete", table, {"Key": to_item(key), "ConditionExpression": condition}, names, values)

    def check(
        self, table: Table | str, key: Mapping[str, Any], condition: str, *,
        names: Mapping[str, str] | None = None, values: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Require a condition of an item that is not written."""
        self._record(
            "ConditionCheck", table, {"Key": to_item(key), "ConditionExpression": condition}, names, values
        )

    def _record(
        self, action: Any, table: Table | str, parameters: dict[str, Any],
        names: Mapping[str, str] | None, values: Mapping[str, Any] | None,
    ) -> None:  # fmt: skip
        given = {name: to_attribute(value) for name, value in (values or {}).items()}
        self._size += size_bytes(given)
        if len(self._writes) >= ACTIONS:
            raise SettingsError(f"change.transaction holds at most {ACTIONS} actions: one more is the mark")
        if self._size > BYTES:
            raise SettingsError(
                f"change.transaction holds at most {BYTES:,} bytes, and this is {self._size:,}"
            )
        placeholders = {"ExpressionAttributeNames": dict(names or {}), "ExpressionAttributeValues": given}
        members = {"TableName": str(table), **parameters, **placeholders}
        self._writes.append(ItemWrite(action, {name: value for name, value in members.items() if value}))
