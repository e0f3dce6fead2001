"""What an engine may be told when it is opened.

Rules of this file: values only; a wrong one is refused at once, in a text that names option, value and bound.
Made by stores/opened.py and the test world.
"""

import re
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import SettingsError
from tailrace.streams.arns import ACCOUNT, REGION
from tailrace.tables.limits import SHARDS_PER_STREAM

REGION_NAME: Final = re.compile("[a-z0-9-]{1,64}")
ACCOUNT_NAME: Final = re.compile("[0-9]{12}")


class KinesisFaults(Struct, frozen=True):
    """What happens to changes on their way from a table into a data stream, for trials.

    Shape:   `rate` of them come late, while those of other items overtake them, and as many come again; 0 to
             1. `seed` decides which.
    Units:   late_ms is how late at most, and how long until the same one comes again at most.
    Raises:  SettingsError.
    """

    rate: float
    late_ms: int = 5_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise SettingsError(f"rate: {self.rate} is not allowed; it is 0 to 1")
        _within("late_ms", self.late_ms, 1, 3_600_000)


class EngineSettings(Struct, frozen=True):
    """Settings of one engine.

    Shape:   `region` and `account` are the default namespace of a new data directory, and with
             `one_namespace` its only one; `shards` a new stream begins with; `aws_delays` imitates AWS's
             waiting for tables; `slice_rows` bounds one slice of housekeeping (about two milliseconds); a
             shard that takes more than `split_records` in a second is split, 0 for never. `shard_limits`
             holds the shards of data streams to what AWS's take and give in a second. `kinesis_faults` is for
             trials: None, nothing comes late or again.
    Raises:  SettingsError.
    """

    region: str = REGION
    account: str = ACCOUNT
    shards: int = 1
    aws_delays: bool = False
    rollover_ms: int = 4 * 3_600_000
    retention_ms: int = 24 * 3_600_000
    slice_rows: int = 200
    split_records: int = 0
    one_namespace: bool = False
    shard_limits: bool = False
    kinesis_faults: KinesisFaults | None = None

    def __post_init__(self) -> None:
        _within("shards", self.shards, 1, SHARDS_PER_STREAM)
        _within("rollover_ms", self.rollover_ms, 1, 10**12)
        _within("retention_ms", self.retention_ms, 1, 10**12)
        _within("split_records", self.split_records, 0, 10**9)
        _within("slice_rows", self.slice_rows, 1, 100_000)
        for name, value, allowed in (
            ("region", self.region, REGION_NAME),
            ("account", self.account, ACCOUNT_NAME),
        ):
            if not allowed.fullmatch(value):
                raise SettingsError(f"{name}: {value!r} is not allowed; it matches {allowed.pattern}")

    def in_region(self, region: str) -> Self:
        """The same in a region, unless they name one themselves."""
        return replace(self, region=region) if self.region == REGION != region else self


def _within(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise SettingsError(
            f"{name}: {value} is not allowed; it is a whole number from {lowest} to {highest}"
        )
