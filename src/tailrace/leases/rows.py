"""Rows of state as plain values: what a transition wants to write, and under which condition.

Rules of this file: keys are made by `tailrace.rows`, layouts are those of docs/formats/state.md; every row carries `"v": 1`. The runtime turns
a RowWrite into a StateWrite of the ports, which lie above this package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from tailrace.errors import StoreError

VERSION: Final = 1
Demand: TypeAlias = Literal["always", "absent", "equals", "absent_or_less"]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold of the present row: nothing, that it is absent, or something about one of its fields."""

    demand: Demand = "always"
    field: str = ""
    value: int | str = 0


@dataclass(frozen=True, slots=True)
class RowWrite:
    """Put these fields under this key (None deletes the row) if the guard holds."""

    key: str
    fields: Mapping[str, Any] | None
    guard: Guard = Guard()


@dataclass(frozen=True, slots=True)
class RowCheck:
    """Require a guard of a row that is not written."""

    key: str
    guard: Guard


def readable(fields: Mapping[str, Any], what: str, newest: int = VERSION) -> Mapping[str, Any]:
    """The fields of a row whose format this version knows: 1, up to the newest one of its kind. Raises: StoreError."""
    if fields.get("v") not in range(1, newest + 1):
        known = newest if newest == 1 else f"1 to {newest}"
        raise StoreError(
            f"This {what} has format {fields.get('v')!r}; this version reads {known}.",
            hint="install the version of tailrace that wrote it",
        )
    return fields
