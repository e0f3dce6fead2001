"""Rows of leases and checkpoints, in the words of the state store's port.

Rules of this file: a translation, no decision. The layouts lie below the ports and know nothing of them.
"""

from typing import assert_never

from tailrace.leases.rows import Guard, RowCheck, RowWrite
from tailrace.ports import ALWAYS, Absent, AbsentOrLess, Condition, Equals, StateCheck, StateWrite


def condition(guard: Guard) -> Condition:
    """A guard as a condition of the port."""
    match guard.demand:
        case "always":
            return ALWAYS
        case "absent":
            return Absent()
        case "equals":
            return Equals(guard.field, guard.value)
        case "absent_or_less":
            return AbsentOrLess(guard.field, int(guard.value))
        case _:
            assert_never(guard.demand)


def state_write(row: RowWrite) -> StateWrite:
    """A row's write."""
    return StateWrite(row.key, row.fields, condition(row.guard))


def state_check(row: RowCheck) -> StateCheck:
    """A row's check."""
    return StateCheck(row.key, condition(row.guard))
