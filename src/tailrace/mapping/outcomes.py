"""What a sink says about a batch. Expected outcomes are values; raising means that the whole batch failed."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from msgspec import Struct, field


class FailureKind(Enum):
    """Whose fault a failure is. Only RECORD and TIMEOUT use up attempts; THROTTLED and UNAVAILABLE are an
    outage; EARLY says nothing of the other side: what must come before the record has not come.
    """

    RECORD = "RECORD"
    TIMEOUT = "TIMEOUT"
    THROTTLED = "THROTTLED"
    UNAVAILABLE = "UNAVAILABLE"
    EARLY = "EARLY"


class Failure(Struct, frozen=True):
    """One failure: its kind, the least time to wait, and words for people.

    Shape:   `final` says of a record that it will be refused whenever it comes: it is given up at once, with
             attempts to spare.
    """

    kind: FailureKind = FailureKind.RECORD
    error: str = ""
    traceback: str = ""
    retry_after_ms: int = 0
    final: bool = False


class Written(Struct, frozen=True):
    """Every record of the batch was accepted. Shape: `state` is the JSON object that a function returned for
    its tumbling window.
    """

    state: bytes | None = None


class Failed(Struct, frozen=True):
    """Some records failed, by their index in the batch; `whole` when the sink cannot tell them apart.

    Guarantee: after a failed record, later records *of the same key* in the batch were not attempted; a sink
               that cannot promise this answers `whole` or `FailedFrom`.
    """

    failures: Mapping[int, Failure] = field(default_factory=dict)
    whole: Failure | None = None


class FailedFrom(Struct, frozen=True):
    """Everything before `index` was accepted, everything from it on is to be sent again (Lambda's lowest
    number).

    Shape:   `state` as in Written: of the records that were accepted.
    """

    index: int
    failure: Failure = Failure()
    state: bytes | None = None


Outcome: TypeAlias = Written | Failed | FailedFrom


def first_line(error: str) -> str:
    """As much of an error as a line of a status can take."""
    line = error.strip().partition("\n")[0]
    return line if len(line) <= 160 else f"{line[:157]}..."
