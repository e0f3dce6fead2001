"""What is written to rows of state, and under which conditions: the one vocabulary of layouts, the runtime
and the state store's port.

Rules of this file: values only; `holds` is the one meaning of a condition, and every adapter gives it that
one. Keys are made by `tailrace.rows.kinds`; layouts are those of docs/formats/state.md, and every row carries
`"v"`, its format. Structs and no dataclasses: some are made for each change that is delivered, and every
start makes the classes. Source: growth §2.1.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from tailrace.errors import StoreError
from tailrace.streams.version import Version, row_version

VERSION: Final = 1
"""The format of a row whose layout has never changed."""


class Always(msgspec.Struct, frozen=True):
    """No condition."""


class Absent(msgspec.Struct, frozen=True):
    """The row does not exist."""


class Equals(msgspec.Struct, frozen=True):
    """The row exists and this field has this value."""

    field: str
    value: int | str


class AbsentOrOlder(msgspec.Struct, frozen=True):
    """The row does not exist, or its version is older: how a mark gives "once" and order.

    Shape:   the row's version is its field `version`, a text; in a row of before versions its `sequence`, an
             integer of the first generation. A row with neither is older.
    """

    version: Version


Condition: TypeAlias = Always | Absent | Equals | AbsentOrOlder
ALWAYS: Final = Always()


def holds(condition: Condition, fields: Mapping[str, Any] | None) -> bool:
    """Whether a condition holds for a row's fields (None: there is no row).

    >>> holds(AbsentOrOlder(Version(1, 5)), {"sequence": 5})
    False
    """
    match condition:
        case Always():
            return True
        case Absent():
            return fields is None
        case Equals(field=name, value=value):
            return fields is not None and fields.get(name) == value
        case AbsentOrOlder(version=version):
            present = None if fields is None else row_version(fields)
            return present is None or present < version


def same_version(fields: Mapping[str, Any]) -> Equals:
    """That a row with a version, in either form, is the one that was read."""
    name = "version" if "version" in fields else "sequence"
    return Equals(name, fields[name])


class StateRow(msgspec.Struct, frozen=True):
    """One row of state as it is read: its key, and JSON fields."""

    key: str
    fields: Mapping[str, Any]


class Write(msgspec.Struct, frozen=True):
    """Put these fields under this key (None deletes the row) if the condition holds of the row that is
    there.
    """

    key: str
    fields: Mapping[str, Any] | None
    condition: Condition = ALWAYS


class Check(msgspec.Struct, frozen=True):
    """Require a condition of a row that is not written."""

    key: str
    condition: Condition


def readable(fields: Mapping[str, Any], kind: str, newest: int = VERSION) -> Mapping[str, Any]:
    """The fields of a row whose format this version knows: 1, up to the newest one of its kind. Raises:
    StoreError.
    """
    if fields.get("v") not in range(1, newest + 1):
        known = newest if newest == 1 else f"1 to {newest}"
        raise StoreError(
            f"This {kind} has format {fields.get('v')!r}; this version reads {known}.",
            hint="install the version of tailrace that wrote it",
        )
    return fields
