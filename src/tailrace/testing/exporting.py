"""Exports as DynamoDB writes them to S3, made of given items: for tests of whoever reads one.

Rules of this file: bytes by S3 key, laid out by the writer's own core (exports/core/plan.py); nothing is
written anywhere but by `saved`. What DynamoDB does not write and an import takes (zstandard, no compression,
data files alone) can be made as well, and what no export may be, for those who refuse it.
Source: analytics §2.1, §2.2. ION needs the extra `exports`.
"""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from posixpath import normpath
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from tailrace.exports.core.exported import Compression, ExportedItem, OutputFormat
from tailrace.exports.core.ion import ion_members
from tailrace.exports.core.manifest import ViewOfExport
from tailrace.exports.core.plan import (
    PlannedExport,
    billed_bytes,
    checksum_of,
    export_id_of,
    files_manifest,
    line_of,
    summary_manifest,
    written_file,
)
from tailrace.exports.run.files import FolderEntries
from tailrace.values.types import Item

SUFFIXES: Final[Mapping[Compression, str]] = {"GZIP": ".gz", "ZSTD": ".zst", "NONE": ""}
LASTS_US: Final = 300_000_000


class ExportForm(Struct, frozen=True):
    """How an export is written. Shape: `files` data files, filled in turn; `checksum` ends the names of the
    manifests' checksums; `is_binary` is Ion's binary form.
    """

    format: OutputFormat = "DYNAMODB_JSON"
    compression: Compression = "GZIP"
    files: int = 2
    bucket: str = "exports"
    prefix: str = ""
    table_arn: str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
    table_id: str = "5c7ebcc1-2b6c-4ba3-8c2a-7a1f0f3e9d11"
    checksum: Literal["checksum", "md5"] = "checksum"
    is_binary: bool = False


def full_export(
    items: Iterable[Item], to_us: int, form: ExportForm | None = None, *, number: int = 1
) -> dict[str, bytes]:
    """A full export of a table as of a moment. Units: to_us since the epoch. Shape: bytes by key; exports of
    one place have numbers of their own, out of which their ids are made.
    """
    form = ExportForm() if form is None else form
    return _export([ExportedItem(None, item) for item in items], number, form, _plan(form, to_us))


def incremental_export(
    changes: Iterable[ExportedItem],
    window: tuple[int, int],
    form: ExportForm | None = None,
    *,
    view: ViewOfExport = "NEW_AND_OLD_IMAGES",
    number: int = 1,
) -> dict[str, bytes]:
    """An incremental export of a window, from its first moment to before its second. Units: µs since the
    epoch. Shape: as of `full_export`; old images are left out where the view does not show them.
    """
    form = ExportForm() if form is None else form
    from_us, to_us = window
    shown = [
        one if view == "NEW_AND_OLD_IMAGES" else ExportedItem(one.keys, one.new, None, one.written_us)
        for one in changes
    ]
    plan = replace(_plan(form, to_us), from_us=from_us, view=view)
    return _export(shown, number, form, plan)


def data_file(exports: Iterable[ExportedItem], form: ExportForm | None = None) -> bytes:
    """One data file, as an import takes it, too."""
    form = ExportForm() if form is None else form
    if form.format == "ION" and form.is_binary:
        data = _binary_ion(exports)
    else:
        data = b"".join(line_of(form.format, one) for one in exports)
    match form.compression:
        case "GZIP":
            return gzip.compress(data, compresslevel=1, mtime=0)
        case "ZSTD":
            import zstandard

            return bytes(zstandard.compress(data))
    return data


def saved(export: Mapping[str, bytes], root: Path) -> Path:
    """Write the files below a directory. Returns: the directory."""
    for key, data in export.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


class MemoryFiles:
    """Exports in memory, as the reader asks for files (`exports.run.files.ExportFiles`). Shape: bytes by key;
    `folder` is the place below which everything is.
    """

    def __init__(self, export: Mapping[str, bytes], folder: str = "") -> None:
        self._blobs = {normpath(key): data for key, data in export.items()}
        self._folder = folder.strip("/")
        self.place = f"memory/{self._folder}".rstrip("/")

    def entries(self, folder: str) -> FolderEntries:
        """Names directly below a folder; none for one that is not there. Units: sizes in bytes."""
        key = self._key(folder)
        prefix = f"{key}/" if key else ""
        below = {
            name.removeprefix(prefix): data for name, data in self._blobs.items() if name.startswith(prefix)
        }
        folders = sorted({name.partition("/")[0] for name in below if "/" in name})
        return FolderEntries(
            tuple(folders), {name: len(data) for name, data in sorted(below.items()) if "/" not in name}
        )

    def read(self, name: str, start: int, length: int) -> bytes | None:
        """Bytes of a file."""
        data = self._blobs.get(self._key(name))
        return None if data is None else data[start : start + length]

    def _key(self, name: str) -> str:
        key = normpath(f"{self._folder}/{name}").lstrip("/")
        return "" if key in (".", "..") else key


# ---- the layout --------------------------------------------------------------------------------------------


def _export(
    exports: Sequence[ExportedItem], number: int, form: ExportForm, plan: PlannedExport
) -> dict[str, bytes]:
    """Files of an export by their keys, as `exports.core.plan` lays it out, in a form of its own."""
    plan = replace(plan, export_id=export_id_of(plan.started_us, number))
    written = {plan.key(plan.started): b""}
    files = []
    for index in range(form.files):
        part = exports[index :: form.files]
        data = data_file(part, form)
        name = f"{plan.data_file(index).removesuffix('.gz')}{SUFFIXES[form.compression]}"
        written[plan.key(name)] = data
        files.append(written_file(name, len(part), data))
    billed = sum(billed_bytes(one) for one in exports)
    manifests = {
        plan.files: files_manifest(plan, files),
        plan.summary: summary_manifest(plan, len(exports), billed, plan.started_us + LASTS_US),
    }
    for name, data in manifests.items():
        written[plan.key(name)] = data
        written[plan.key(f"{name.removesuffix('.json')}.{form.checksum}")] = checksum_of(data)
    return written


def _plan(form: ExportForm, to_us: int) -> PlannedExport:
    """A full export, said to have begun at its own moment."""
    return PlannedExport(
        "", form.table_arn, form.table_id, to_us, to_us, form.format, form.bucket, form.prefix
    )


def _binary_ion(exports: Iterable[ExportedItem]) -> bytes:
    from amazon.ion import simpleion

    values = [ion_members(one) for one in exports]
    return bytes(simpleion.dumps(values, binary=True, sequence_as_stream=True)) if values else b""
