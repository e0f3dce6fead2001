"""What a comparison has come to, while it runs and at its end.

Rules of this file: values and their form for programs, which docs/verify.md describes. Counts are of keys.
"""

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from tailrace.verification.core.judging import KINDS, Kind
from tailrace.verification.core.sampling import most_wrong

Told: TypeAlias = Kind | Literal["waits", "failed"]
Mending: TypeAlias = Literal["no", "dry", "yes"]
"""Whether differences are only told, told with what would be written, or mended."""
WRITTEN: Final = "written"
MOST_NAMED: Final = 100
"""So many differences are named; the others are counted."""


class RowDifference(Struct, frozen=True):
    """A row that is not what its item is.

    Shape:   `key` is the item's (DynamoDB JSON), or the bytes of a key that is none of the table's, in hex;
             `version` is the row's text, "" where there is none; `reason` says more where there is more to
             say. `mended`: WRITTEN, "would be written", or "" where it was not asked for or cannot be.
    """

    kind: Told
    key: Any
    version: str = ""
    reason: str = ""
    mended: str = ""


class VerificationReport(Struct):
    """Counts of a comparison.

    Shape:   `phase` says what it is at. `items` are those of the table that were read, `wanted` those that
             the mirror is to show, `rows` those of the mirror that were read, deleted ones too; `suspects`
             were looked at again, so far `judged`. A key with a parked change or a dead letter `waits`; of
             what `failed` it is not known what is to be shown; what kept moving is `unjudged`, and so is what
             differs while a `snapshot` (in words, "": none) has still to bring rows. `drawn`
             partition keys were in a sample, None: it was of everything.
    """

    sink: str
    table: str
    phase: str = "reading the table"
    estimate: int = 0
    items: int = 0
    wanted: int = 0
    rows: int = 0
    suspects: int = 0
    judged: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*KINDS, "waits", "failed"), 0))
    unjudged: int = 0
    snapshot: str = ""
    mended: int = 0
    read_units: float = 0.0
    drawn: int | None = None
    wrong_partitions: int = 0
    differences: list[RowDifference] = field(default_factory=list)

    def differs(self, difference: RowDifference) -> None:
        """Count a difference; the first are kept whole."""
        self.counts[difference.kind] += 1
        self.mended += difference.mended == WRITTEN
        if len(self.differences) < MOST_NAMED:
            self.differences.append(difference)

    @property
    def left(self) -> int:
        """How many rows are not what their items are, after what was mended."""
        return sum(self.counts.values()) - self.mended

    @property
    def is_equal(self) -> bool:
        """Whether every row was judged and is what its item is."""
        return not self.left and not self.unjudged

    @property
    def at_most_wrong(self) -> float | None:
        """The share of partition keys that may be wrong with 95 % confidence; None: all were compared."""
        return None if self.drawn is None else most_wrong(self.wrong_partitions, self.drawn)

    @property
    def value(self) -> dict[str, Any]:
        """The report as JSON has it."""
        sample = None if self.drawn is None else {
            "partition_keys": self.drawn,
            "wrong": self.wrong_partitions,
            "at_most": self.at_most_wrong,
            "confidence": 0.95,
        }  # fmt: skip
        return {
            "sink": self.sink,
            "table": self.table,
            "equal": self.is_equal,
            "items": self.items,
            "wanted": self.wanted,
            "rows": self.rows,
            "suspects": self.suspects,
            **self.counts,
            "unjudged": self.unjudged,
            "snapshot": self.snapshot,
            "mended": self.mended,
            "left": self.left,
            "read_units": round(self.read_units, 1),
            "sample": sample,
            "differences": [
                {name: getattr(difference, name) for name in difference.__struct_fields__}
                for difference in self.differences
            ],
        }

    @property
    def progress(self) -> dict[str, Any]:
        """How far it is, as JSON has it."""
        return {
            "phase": self.phase,
            "estimate": self.estimate,
            "items": self.items,
            "rows": self.rows,
            "suspects": self.suspects,
            "judged": self.judged,
            "differences": sum(self.counts.values()),
            "mended": self.mended,
        }
