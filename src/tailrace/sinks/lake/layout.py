"""How a table lies in an archive: its settings, the names of its files, which row is in which part.

Rules of this file: pure; a name says what is in the file and of which shard it came, and is the same whenever
the same rows are written again. Settings that a table was made with stand in its manifest, and others are
refused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from tailrace.columns.entities import DeclaredEntity, EntityRules, EntitySorter
from tailrace.columns.naming import Naming
from tailrace.columns.schema import TableColumns
from tailrace.errors import SettingsError
from tailrace.manifests.core.manifest import TableManifest
from tailrace.manifests.core.names import digest, safe
from tailrace.streams.record import ChangeRecord
from tailrace.values.types import Item

Form: TypeAlias = Literal["merged", "log"]
MANIFEST: Final = "_manifest"
SETTINGS: Final = "settings"
COLUMNS: Final = "columns/"
"""Notes of a manifest."""
DAY: Final = "day"
DAY_US: Final = 86_400_000_000
LAKE_NAMES: Final = Naming(longest=127, reserved=(DAY,))
"""What may stand in a file; `day` is the name of a partition."""
DATA: Final = "data"
BASE: Final = "base"
LOG: Final = "log"
NO_VALUE: Final = "none"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LakeSettings(Struct, frozen=True):
    """What a table was made with. Shape: `buckets` of a merged table, `partition_by` of a log."""

    form: Form
    buckets: int = 0
    partition_by: tuple[str, ...] = ()
    rules: EntityRules | None = None


class LakeLayout:
    """The names of one table. Shape: `table` is its folder in the archive; `declared` are the classes whose
    names and templates the rules of its settings have.
    """

    def __init__(self, table: str, settings: LakeSettings, declared: Sequence[DeclaredEntity] = ()) -> None:
        self.table = table
        self.settings = settings
        rules = settings.rules
        self.entities = None if rules is None else EntitySorter(rules, declared)

    @property
    def is_merged(self) -> bool:
        """Whether it shows the newest row of each key."""
        return self.settings.form == "merged"

    @property
    def manifest_folder(self) -> str:
        """Beside the folders of rows; it begins with `_`, so that readers of folders leave it out."""
        return f"{self.table}/{MANIFEST}"

    def folder(self, columns: TableColumns) -> str:
        """Where the files of an entity are, below the table."""
        return DATA if self.entities is None else safe(columns.name)

    def log_part(self, columns: TableColumns, partition: str = "") -> str:
        """The part of a table that batches are added to."""
        below = LOG if self.is_merged else partition
        return "/".join(word for word in (self.folder(columns), below) if word)

    def base_part(self, columns: TableColumns, bucket: int) -> str:
        """The part with the merged rows of a bucket."""
        return f"{self.folder(columns)}/{BASE}/{bucket:04d}"

    def file_name(self, part: str, stem: str, data: bytes, salt: int) -> str:
        """The name of a file with these bytes. Shape: `salt` is counted up where a name is taken."""
        end = f"-{salt}" if salt else ""
        return f"{self.table}/{part}/{stem}-{digest(data)}{end}.parquet"

    def partition(self, record: ChangeRecord, item: Item) -> str:
        """Which partition of a log a row is in."""
        words = []
        for name in self.settings.partition_by:
            if name == DAY:
                words.append(f"day={day_of(record.created_us)}")
            else:
                words.append(f"{safe(f'by_{name}')}={value_word(item.get(name))}")
        return "/".join(words)

    def tables(self, manifest: TableManifest) -> dict[str, TableColumns]:
        """Entity → columns, as the manifest has them."""
        return {
            name.removeprefix(COLUMNS): columns_from(text)
            for name, text in manifest.notes.items()
            if name.startswith(COLUMNS)
        }

    def new_columns(
        self, entity: str, keys: tuple[str, ...], known: Mapping[str, TableColumns]
    ) -> TableColumns:
        """The columns of an entity that is seen for the first time."""
        if self.entities is None:
            return TableColumns(entity, entity, keys, naming=LAKE_NAMES)
        taken = [columns.name for columns in known.values()]
        return self.entities.new_tables([entity], LAKE_NAMES, taken)[entity]

    def entity_of(self, item: Item) -> str:
        """Shape: the table's own name where it has no rules. Raises: KeyError for an item without keys."""
        return self.table.rpartition("/")[2] if self.entities is None else self.entities.of(item)

    def left(
        self, record: ChangeRecord, old: Item | None, new: Item | None, known: Iterable[str]
    ) -> Iterator[str]:
        """The entities from whose rows an item goes by a change, beside the one that the change is of."""
        if self.entities is None or self.entities.is_told_by_keys():
            return
        now = None if new is None else self.entities.of(new)
        if old is not None:
            before = self.entities.left_by(old, new)
            yield from [] if before is None or before == now else [before]
        elif record.event_name != "INSERT":  # a stream without old images: it may have been any other
            yield from (entity for entity in known if entity != now)

    def check_made_with(self, manifest: TableManifest) -> None:
        """Require that the table was made with these settings. Raises: SettingsError."""
        text = manifest.notes.get(SETTINGS)
        if text is None or text == self.settings_text:
            return
        there = msgspec.json.decode(text, type=LakeSettings)
        for name in LakeSettings.__struct_fields__:
            mine, its = getattr(self.settings, name), getattr(there, name)
            if mine != its:
                raise SettingsError(
                    f"table {self.table} of the lake was made with {name}={its!r}, this sink has {mine!r}",
                    hint="give the sink what the table was made with, or another table",
                )

    @property
    def settings_text(self) -> str:
        """As the manifest notes them."""
        return msgspec.json.encode(self.settings).decode()


@lru_cache(256)
def columns_from(text: str) -> TableColumns:
    """Columns as a manifest notes them; read once."""
    return TableColumns.from_json(text)


def day_of(created_us: int) -> str:
    """The day of a time, in UTC.

    >>> day_of(1_767_225_600_000_000)
    '2026-01-01'
    """
    return _day(created_us // DAY_US)


@lru_cache(64)
def _day(number: int) -> str:
    return (EPOCH + timedelta(days=number)).strftime("%Y-%m-%d")


def value_word(value: Mapping[str, object] | None) -> str:
    """A value as part of a partition's name."""
    for type_, content in (value or {}).items():
        if type_ in ("S", "N", "BOOL"):
            return safe(str(content))
    return NO_VALUE


def check_partitions(names: Sequence[str]) -> tuple[str, ...]:
    """Partitions of a log: `day`, attributes. Raises: SettingsError."""
    if isinstance(names, str) or not all(names):
        raise SettingsError(f"partition_by={names!r}: it is a list of `day` and attributes, as ['day']")
    if len(set(names)) != len(names):
        raise SettingsError(f"partition_by={list(names)!r} names one twice")
    return tuple(names)
