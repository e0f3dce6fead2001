"""A gap: changes that were trimmed before a handler read them. It stands until an operator acknowledges it.

Rules of this file: layout and transitions of one row; written in the transaction of the checkpoint that
passes the gap. Format 2, docs/formats/state.md. Called by runtime/delivering.py and by `gaps`. Source:
growth §2.10.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import GAP
from tailrace.rows.writes import readable
from tailrace.streams.version import FIRST_GENERATION, Version

FORMAT: Final = 2
"""1 had no shard and no generation in its key."""


class Gap(Struct, frozen=True):
    """Changes that a handler never saw.

    Shape:   sequence numbers of one generation, inclusive; how many there were is not known, unless an
             operator has `skipped` so many of them. `again` counts how often it was told anew after it had
             been acknowledged: what was lost of a target that had been given it otherwise. `item` is the key
             of one whose changes did not come, as hexadecimal digits, and the numbers are those of its
             versions; "" where they are of the shard.
    Units:   *_ms since the epoch: all of them were written between from_ms and until_ms (0: not known);
             acknowledged_ms is 0 while no operator has.
    """

    shard_id: str
    first: int
    last: int
    from_ms: int = 0
    until_ms: int = 0
    acknowledged_ms: int = 0
    generation: int = FIRST_GENERATION
    skipped: int = 0
    again: int = 0
    item: str = ""

    def key(self, app: str, mapping_id: str) -> str:
        """Its row. The shard is in it: shards that were split off each other may lose changes from the same
        number on.
        """
        words = (self.shard_id, self.item) if self.item else (self.shard_id,)
        return GAP.key(app, mapping_id, Version(self.generation, self.first).text, *words)

    def fields(self) -> dict[str, Any]:
        """What its row holds."""
        fields: dict[str, Any] = {
            "v": FORMAT,
            "shard_id": self.shard_id,
            "first": str(self.first),
            "last": str(self.last),
            "from_ms": self.from_ms,
            "until_ms": self.until_ms,
            "acknowledged_ms": self.acknowledged_ms,
            "generation": self.generation,
        }
        if self.skipped:
            fields["skipped"] = self.skipped
        if self.again:
            fields["again"] = self.again
        if self.item:
            fields["item"] = self.item
        return fields

    def acknowledged(self, now_ms: int) -> Self:
        """It is known to an operator, and counts in lag and readiness no more."""
        return replace(self, acknowledged_ms=self.acknowledged_ms or now_ms)

    def told_after(self, told: Self | None) -> Self:
        """This gap, where one with its key is that is acknowledged, or none: whoever had known of that, or
        had filled it, is to know of this one.

        >>> Gap("s", 1, 5).told_after(Gap("s", 1, 9, acknowledged_ms=7)) == Gap("s", 1, 9, again=1)
        True
        """
        return self if told is None else replace(self, last=max(self.last, told.last), again=told.again + 1)


def read_gap(fields: Mapping[str, Any]) -> Gap:
    """The gap behind a row. Raises: StoreError when its format is not known."""
    row = readable(fields, "gap", FORMAT)
    return Gap(
        row["shard_id"],
        int(row["first"]),
        int(row["last"]),
        row["from_ms"],
        row["until_ms"],
        row["acknowledged_ms"],
        row.get("generation", FIRST_GENERATION),
        row.get("skipped", 0),
        row.get("again", 0),
        row.get("item", ""),
    )
