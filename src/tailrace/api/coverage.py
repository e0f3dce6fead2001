"""What of AWS's APIs is there: every operation and, for those that are, the parameters that are not.

Rules of this file: a view of the registry and of the headers of the operation files; nothing is listed by
hand. Called by `cli.coverage`.
"""

import inspect
import re
import sys
from typing import Literal, TypedDict

from tailrace.api.registry import SERVICES, Operation, find_operations

State = Literal["yes", "partly", "no"]


class Covered(TypedDict):
    """One operation. `not_emulated` are parameters (with the value that is harmless, if one is)."""

    service: str
    operation: str
    state: State
    not_emulated: list[str]
    note: str


def coverage() -> list[Covered]:
    """Every operation of every service; those that are there first."""
    entries = [_covered(entry) for entry in find_operations(SERVICES).values()]
    return sorted(entries, key=lambda row: (row["state"] == "no", row["service"], row["operation"]))


def _covered(entry: Operation) -> Covered:
    missing = [
        name if harmless is None else f"{name} other than {harmless}"
        for name, harmless in sorted({**entry.input.refused, **entry.input.limited}.items())
    ]
    note = _note(entry) if entry.emulated else ""
    is_partly = bool(missing) or (entry.ask is not None and note != "nothing.")
    state: State = "no" if not entry.emulated else "partly" if is_partly else "yes"
    return {
        "service": entry.service.target,
        "operation": entry.name,
        "state": state,
        "not_emulated": missing,
        "note": note,
    }


def _note(entry: Operation) -> str:
    """The `Not emulated` paragraph of the operation's own file."""
    header = inspect.getdoc(sys.modules[(entry.ask or entry.run).__module__]) or ""
    paragraph = re.search(r"^Not emulated:\s*(.*?)(?=^\S|\Z)", header, re.MULTILINE | re.DOTALL)
    return " ".join(paragraph[1].split()) if paragraph else ""
