"""Data streams as an application declares them.

Rules of this file: declarations only. Locally a stream is created; on AWS it is checked, never created.
Stands alone beside table.py: users see one or the other.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from tailrace.app.sinking import Writes, is_mirror
from tailrace.app.table import Changes, Table
from tailrace.errors import SettingsError
from tailrace.streams.kinesis.names import NAME, source_name, stream_of_source
from tailrace.streams.kinesis.plain import PARTITION_KEY

MOST_SHARDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class DataStream:
    """A data stream: its name, and with how many shards it begins where it is made."""

    name: str
    shards: int = 1
    source: Table = field(init=False, compare=False, repr=False)
    """What its mappings have where others have a table: its records as items (ADR 94)."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SettingsError(
                f"data stream {self.name!r}: a name has 1 to 128 letters, digits, underscores, hyphens or "
                "dots"
            )
        if isinstance(self.shards, bool) or not isinstance(self.shards, int):
            raise SettingsError(f"data stream {self.name!r}: shards={self.shards!r} is no whole number")
        if not 1 <= self.shards <= MOST_SHARDS:
            raise SettingsError(
                f"data stream {self.name!r}: shards={self.shards} is not allowed; it is 1 to {MOST_SHARDS:,}"
            )
        source = Table(source_name(self.name), PARTITION_KEY, stream="NEW_IMAGE")
        object.__setattr__(self, "source", source)

    def __str__(self) -> str:
        return self.name


def check_of_data(word: str, changes: Changes[Any], sink: Writes | None = None) -> None:
    """Refuse what takes items of tables and no plain records. Shape: `word` is what was declared; of "sink"
    alone it depends on the sink. Raises: SettingsError.
    """
    if not changes.table.is_data or word in ("on", "batch", "function"):
        return
    if word == "sink" and not is_mirror(sink):
        return
    name = stream_of_source(changes.table.name)
    instead = "a sink that appends" if word == "sink" else "@app.on, @app.batch and app.function"
    raise SettingsError(
        f"{word}: data stream {name!r} has records, which have no state before and after them: it takes "
        f"{instead}"
    )
