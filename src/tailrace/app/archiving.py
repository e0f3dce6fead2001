"""What `app.archive` takes and refuses, and what it makes of a mapping's settings.

Rules of this file: checks and words; values only. Nothing is opened.
Stands alone because a worker's parts read the plan.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

from tailrace.app.retry import Retry, milliseconds
from tailrace.app.table import Table
from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings
from tailrace.ports import ArchiveStore

S3: Final = "s3://"
HOLD_BYTES: Final = 1 << 30
LEAST_MERGE_MS: Final = 60_000
MERGE_MS: Final = 3_600_000
BOTH: Final = "NEW_AND_OLD_IMAGES"
BATCH: Final = 10_000
BATCH_BYTES: Final = 32 * 1024 * 1024
WINDOW_MS: Final = 1_000
"""A segment is what came in a second, or what fills one of these: few files, and a journal a second late."""


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """Where a table's journal is kept.

    Shape:   `place` as people read it: a directory or `s3://bucket/prefix`; `archive` in its place, one of
             your own. `access` says where and as whom S3 is called. The engine keeps up to `hold_bytes` of
             changes past their 24 hours until the journal has them. `actor` is the attribute in which items
             say who wrote them; None: none does. With `base` the table is read once, for what does not change
             any more.
    Units:   base_read_units a second that this may use at most; None: as the table gives them. `merge_ms`
             between two merges by the worker; None: it merges nothing.
    """

    place: str
    archive: ArchiveStore | None = None
    access: Any = None
    hold_bytes: int = HOLD_BYTES
    actor: str | None = None
    base: bool = True
    base_read_units: float | None = None
    merge_ms: int | None = MERGE_MS


def merge_interval(text: object) -> int | None:
    """What `merge` of `app.archive` says, in milliseconds. Raises: SettingsError."""
    if text is None:
        return None
    every_ms = milliseconds(text) if isinstance(text, str) else 0
    if every_ms < LEAST_MERGE_MS:
        raise SettingsError(f"archive: merge={text!r} is not allowed; it is '1m' or longer, or None")
    return every_ms


def archive_plan(
    place: object,
    access: object,
    hold_bytes: object,
    actor: object = None,
    base: object = True,
    base_read_units: object = None,
) -> ArchivePlan:
    """The plan that `app.archive` makes. Raises: SettingsError."""
    if not isinstance(base, bool):
        raise SettingsError(
            f"archive: base={base!r} is not allowed; it is True, or False for a base that comes from exports",
            hint="tailrace journal base --app APP --from PLACE",
        )
    if base_read_units is not None and (
        isinstance(base_read_units, bool)
        or not isinstance(base_read_units, int | float)
        or not base_read_units >= 1
    ):
        raise SettingsError(f"archive: base_read_units={base_read_units!r} is not allowed; it is at least 1")
    if not isinstance(hold_bytes, int) or isinstance(hold_bytes, bool) or hold_bytes < 0:
        raise SettingsError(f"archive: hold_bytes={hold_bytes!r} is not allowed; it is 0 or more bytes")
    if actor is not None and (not isinstance(actor, str) or not actor):
        raise SettingsError(f"archive: actor={actor!r} is not allowed; it is the name of an attribute")
    if _is_archive(place):
        return ArchivePlan(type(place).__name__, place, access, hold_bytes, actor, base, base_read_units)
    if not isinstance(place, str | Path) or not str(place):
        raise SettingsError(
            f"archive: {place!r} is no place; it is a directory, 's3://bucket/prefix', or an archive"
        )
    text = str(place)
    if text.startswith(S3) and not text.removeprefix(S3).partition("/")[0]:
        raise SettingsError(f"archive: {text!r} names no bucket: write it like s3://bucket/prefix")
    if "://" in text and not text.startswith(S3):
        raise SettingsError(f"archive: {text!r} is no place; it is a directory or s3://bucket/prefix")
    return ArchivePlan(text, None, access, hold_bytes, actor, base, base_read_units)


def archive_settings(name: str, table: Table, retry: Retry | None) -> MappingSettings:
    """A mapping that leaves nothing out: every change of a shard, in sequence. Raises: SettingsError."""
    if table.stream != BOTH:
        raise SettingsError(
            f"archive: the stream of {table.name} is declared with {table.stream}, and a journal needs both "
            f"images: app.table({table.name!r}, …, stream={BOTH!r})"
        )
    tried = retry or Retry()
    return MappingSettings(
        name,
        order="shard",
        on_failure="block",
        is_transactional=True,
        batch_size=BATCH,
        batch_bytes=BATCH_BYTES,
        batching_window_ms=WINDOW_MS,
        buffer_records=2 * BATCH,
        maximum_retry_attempts=tried.retries,
        backoff=tried.settings(),
    )


def check_history(place: str, table: Table, *, has_archive: bool) -> None:
    """Refuse a projection with history of a table without a journal. Raises: SettingsError."""
    if not has_archive:
        raise SettingsError(
            f"{place}: history=True is of all that ever was in {table.name!r}, and only a journal has that: "
            f"declare app.archive({table.name}, 'history/') before it"
        )


def archive_id(table: Table) -> str:
    """The id of a table's archive, unless the app gives it another."""
    return f"{table.name}.archive"


def _is_archive(place: object) -> TypeGuard[ArchiveStore]:
    return all(callable(getattr(place, name, None)) for name in ("put_if_absent", "compare_and_put", "list"))
