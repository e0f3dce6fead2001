"""Work that one worker of an app does at a time: whose it is, in one row.

Theory of operation: the row has an *epoch*, which rises when the work is taken, and a *stamp*, which moves
with every write; its owner moves it three times as often as others wait. What the owner writes beside its
work requires the epoch, so that one which stood still and was overtaken writes nothing more. As of a lease:
whether the owner lives is judged by the observer's own clock since the stamp last moved.
Rules of this file: pure transitions; the layout is docs/formats/state.md's. Carried out by runtime/duties.py.
Stands alone because it is pure.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tailrace.rows.kinds import DUTY
from tailrace.rows.writes import Absent, Check, Condition, Equals, Write, readable

DUTY_MS: Final = 30_000
"""So long a stamp may stand still before another worker takes the work; owners move it three times as
often.
"""


class HeldDuty(Struct, frozen=True):
    """One worker's work, as its row says it. Shape: without an owner it was given back."""

    key: str
    owner: str = ""
    epoch: int = 0
    beat: int = 0

    @property
    def stamp(self) -> str:
        """Another one after each write."""
        return f"{self.epoch}/{self.beat}"

    @property
    def fence(self) -> Check:
        """What holds as long as no other worker has taken it since."""
        return Check(self.key, Equals("epoch", self.epoch))

    def write(self, before: Condition) -> Write:
        """The row of this, where it is as expected."""
        fields = {
            "v": DUTY.format,
            "owner": self.owner,
            "epoch": self.epoch,
            "stamp": self.stamp,
            "beat": self.beat,
        }
        return Write(self.key, fields, before)


def read_duty(key: str, fields: Mapping[str, Any] | None) -> HeldDuty:
    """What a row says; of one that is not there, that it is free. Raises: StoreError for a row of an unknown
    format.
    """
    if fields is None:
        return HeldDuty(key)
    row = readable(fields, "duty", DUTY.format)
    return HeldDuty(key, row["owner"], row["epoch"], row["beat"])


def taken_duty(before: HeldDuty, owner: str) -> tuple[HeldDuty, Write]:
    """Take it. The caller has seen that it is free, its own from before, or that its owner is gone."""
    after = HeldDuty(before.key, owner, before.epoch + 1)
    return after, after.write(_unchanged(before))


def moved_duty(before: HeldDuty, owner: str | None = None) -> tuple[HeldDuty, Write]:
    """Say that its owner lives; with the owner "", give it back."""
    name = before.owner if owner is None else owner
    after = HeldDuty(before.key, name, before.epoch, before.beat + 1)
    return after, after.write(_unchanged(before))


def _unchanged(before: HeldDuty) -> Condition:
    return Equals("stamp", before.stamp) if before.epoch else Absent()
