"""What is written to rows of state, and under which conditions: the one vocabulary of layouts, the runtime and the state store's port.

Rules of this file: values only; `holds` is the one meaning of a condition, and every adapter gives it that one. Keys are made by
`tailrace.rows.kinds`; layouts are those of docs/formats/state.md, and every row carries `"v"`, its format. Source: growth §2.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tailrace.errors import StoreError

VERSION: Final = 1
"""The format of a row whose layout has never changed."""


@dataclass(frozen=True, slots=True)
class Always:
    """No condition."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The row does not exist."""


@dataclass(frozen=True, slots=True)
class Equals:
    """The row exists and this field has this value."""

    field: str
    value: int | str


@dataclass(frozen=True, slots=True)
class AbsentOrLess:
    """The row does not exist, or this field is smaller: how a mark gives "once" and order."""

    field: str
    value: int


Condition: TypeAlias = Always | Absent | Equals | AbsentOrLess
ALWAYS: Final = Always()


def holds(condition: Condition, fields: Mapping[str, Any] | None) -> bool:
    """Whether a condition holds for a row's fields (None: there is no row).

    >>> holds(AbsentOrLess("sequence", 5), {"sequence": 5})
    False
    """
    match condition:
        case Always():
            return True
        case Absent():
            return fields is None
        case Equals(field=name, value=value):
            return fields is not None and fields.get(name) == value
        case AbsentOrLess(field=name, value=value):
            return fields is None or name not in fields or bool(fields[name] < value)


@dataclass(frozen=True, slots=True)
class StateRow:
    """One row of state as it is read: its key, and JSON fields."""

    key: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """Put these fields under this key (None deletes the row) if the condition holds of the row that is there."""

    key: str
    fields: Mapping[str, Any] | None
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Check:
    """Require a condition of a row that is not written."""

    key: str
    condition: Condition


def readable(fields: Mapping[str, Any], what: str, newest: int = VERSION) -> Mapping[str, Any]:
    """The fields of a row whose format this version knows: 1, up to the newest one of its kind. Raises: StoreError."""
    if fields.get("v") not in range(1, newest + 1):
        known = newest if newest == 1 else f"1 to {newest}"
        raise StoreError(
            f"This {what} has format {fields.get('v')!r}; this version reads {known}.",
            hint="install the version of tailrace that wrote it",
        )
    return fields
