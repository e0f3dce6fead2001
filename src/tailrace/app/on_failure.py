"""`on_failure=Park.key`, `Park.shard`, `Discard(to=…)`, `Drop`: a change after its last attempt.

Rules of this file: declarations only; the machine's words for them are in mapping/settings.py. Nothing is
dropped unless it is spelled out. Used by app.py and declaring.py.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from tailrace.app.destination_config import check_arn
from tailrace.errors import SettingsError
from tailrace.mapping.settings import BOUNDS, OnFailure


@dataclass(frozen=True, slots=True)
class ParkShard:
    """The shard waits: after a failure nothing new starts, and the change is retried without end."""


@dataclass(frozen=True, slots=True)
class Park:
    """Only the failing key waits, durably, with its later changes in order, until `tailrace dlq redrive`.

    Shape:   at most `max_keys` keys of a shard, each with `max_per_key` later changes; at the bound the shard
             waits and says so.

    >>> Park.key
    Park(max_keys=1024, max_per_key=1024)
    """

    max_keys: int = 1_024
    max_per_key: int = 1_024

    key: ClassVar["Park"]
    shard: ClassVar[ParkShard] = ParkShard()

    def __post_init__(self) -> None:
        for name in ("max_keys", "max_per_key"):
            value: object = getattr(self, name)
            lowest, highest = BOUNDS[name]
            if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
                raise SettingsError(
                    f"Park: {name}: {value!r} is not allowed; it is a whole number from {lowest} to "
                    f"{highest:,}"
                )


Park.key = Park()


@dataclass(frozen=True, slots=True)
class Discard:
    """The change is kept as a dead letter, and its key goes on; `to` is told, as an on-failure destination.

    Shape:   `to` is a destination of `tailrace.sinks` (Sqs, Sns, S3, Directory), the ARN of a queue, a topic
             or a bucket, or None.
    """

    to: Any = None

    def __post_init__(self) -> None:
        match self.to:
            case None:
                return
            case str() as arn:
                check_arn("Discard: to", arn)
            case other if not callable(getattr(other, "deliver", None)):
                raise SettingsError(
                    f"Discard: to: {other!r} is not allowed; it is a destination of tailrace.sinks (Sqs, "
                    "Sns, S3, Directory), an ARN, or anything with `async def deliver(self, failure)`"
                )


@dataclass(frozen=True, slots=True)
class _Drop:
    """The change is counted and forgotten, and its key goes on."""

    def __repr__(self) -> str:
        return "Drop"

    def __call__(self) -> "_Drop":
        return self


Drop: Final = _Drop()
Policy: TypeAlias = Park | ParkShard | Discard | _Drop


def settings_of(policy: object) -> dict[str, Any]:
    """The machine's settings for a policy. Raises: SettingsError."""
    word: OnFailure
    match policy:
        case Park(max_keys, max_per_key):
            return {"on_failure": "park", "max_keys": max_keys, "max_per_key": max_per_key}
        case ParkShard():
            word = "block"
        case Discard():
            word = "discard"
        case _Drop():
            word = "drop"
        case _:
            raise SettingsError(
                f"on_failure: {policy!r} is not allowed; it is Park.key, Park(max_keys=…, max_per_key=…), "
                "Park.shard, Discard(to=…) or Drop"
            )
    return {"on_failure": word}
