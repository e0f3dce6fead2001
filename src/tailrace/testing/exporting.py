"""Exports as DynamoDB writes them to S3, made of given items: for tests of whoever reads one.

Rules of this file: bytes by S3 key, exactly laid out; nothing is written anywhere but by `saved`. What
DynamoDB does not write and an import takes (zstandard, no compression, data files alone) can be made as well.
Source: analytics §2.1, §2.2. ION needs the extra `exports`.
"""

import gzip
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import md5
from pathlib import Path
from posixpath import normpath
from typing import Any, Final, Literal

import orjson
from msgspec import Struct

from tailrace.exports.core.exported import Compression, ExportedItem, OutputFormat
from tailrace.exports.core.lines import MICROS, json_of
from tailrace.exports.core.manifest import ViewOfExport, spoken_us
from tailrace.exports.run.files import FolderEntries
from tailrace.values.types import AttributeValue, Item

SUFFIXES: Final[Mapping[Compression, str]] = {"GZIP": ".gz", "ZSTD": ".zst", "NONE": ""}
MS_US: Final = 1_000
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
    version = {"version": "2020-06-30", "exportTime": spoken_us(to_us)}
    return _export([ExportedItem(None, item) for item in items], to_us, number, version, form)


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
    version = {
        "version": "2023-08-01",
        "exportTime": None,
        "exportFromTime": spoken_us(from_us),
        "exportToTime": spoken_us(to_us),
        "outputView": view,
        "exportType": "INCREMENTAL_EXPORT",
    }
    return _export(shown, to_us, number, version, form)


def data_file(exports: Iterable[ExportedItem], form: ExportForm | None = None) -> bytes:
    """One data file, as an import takes it, too."""
    form = ExportForm() if form is None else form
    exports = list(exports)
    if form.format == "ION":
        data = _ion(exports, form.is_binary)
    else:
        data = b"".join(json_of(one) + b"\n" for one in exports)
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
    exports: Sequence[ExportedItem],
    to_us: int,
    number: int,
    version: Mapping[str, str | None],
    form: ExportForm,
) -> dict[str, bytes]:
    is_full = "exportType" not in version
    export_id = f"{to_us // MS_US:014d}-{number:08x}"
    root = f"{form.prefix}/AWSDynamoDB" if form.prefix else "AWSDynamoDB"
    folder = f"{root}/{export_id}"
    suffix = f".{'ion' if form.format == 'ION' else 'json'}{SUFFIXES[form.compression]}"
    written = {f"{folder}/_started": b""}
    lines = []
    for index in range(form.files):
        part = exports[index :: form.files]
        data = data_file(part, form)
        name = md5(f"{export_id} {index}".encode(), usedforsecurity=False).hexdigest()[:26]
        key = f"{folder if is_full else root}/data/{name}{suffix}"
        written[key] = data
        digest = md5(data, usedforsecurity=False)
        lines.append(
            {
                "itemCount": len(part),
                "md5Checksum": b64encode(digest.digest()).decode(),
                "etag": f"{digest.hexdigest()}-1",
                "dataFileS3Key": key,
            }
        )
    size = sum(len(json_of(one)) for one in exports)
    summary = {
        **version,
        "exportArn": f"{form.table_arn}/export/{export_id}",
        "startTime": spoken_us(to_us),
        "endTime": spoken_us(to_us + LASTS_US),
        "tableArn": form.table_arn,
        "tableId": form.table_id,
        "s3Bucket": form.bucket,
        "s3Prefix": form.prefix or None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": size,
        "itemCount": len(exports),
        "outputFormat": form.format,
    }
    manifests = {
        "manifest-files": b"".join(orjson.dumps(line) + b"\n" for line in lines),
        "manifest-summary": orjson.dumps(summary),
    }
    for name, data in manifests.items():
        written[f"{folder}/{name}.json"] = data
        digest = md5(data, usedforsecurity=False)
        written[f"{folder}/{name}.{form.checksum}"] = b64encode(digest.digest())
    return written


# ---- ION ---------------------------------------------------------------------------------------------------


def _ion(exports: Iterable[ExportedItem], is_binary: bool) -> bytes:
    from amazon.ion import simpleion

    values = [_ion_members(one) for one in exports]
    if is_binary:
        return bytes(simpleion.dumps(values, binary=True, sequence_as_stream=True)) if values else b""
    lines = (simpleion.dumps(value, binary=False, omit_version_marker=True) for value in values)
    return "".join(f"$ion_1_0 {line}\n" for line in lines).encode()


def _ion_members(exported: ExportedItem) -> dict[str, Any]:
    if exported.keys is None:
        return {"Item": _ion_item(exported.new or {})}
    members: dict[str, Any] = {
        "Metadata": {MICROS: Decimal(exported.written_us or 0)},
        "Keys": _ion_item(exported.keys),
    }
    for name, image in (("NewImage", exported.new), ("OldImage", exported.old)):
        if image is not None:
            members[name] = _ion_item(image)
    return members


def _ion_item(item: Item) -> dict[str, Any]:
    return {name: _ion_value(value) for name, value in item.items()}


def _ion_value(value: AttributeValue) -> Any:
    from amazon.ion.core import IonType
    from amazon.ion.simple_types import IonPyList

    ((kind, content),) = value.items()
    match kind:
        case "N":
            return Decimal(content)
        case "B":
            return b64decode(content)
        case "NULL":
            return None
        case "L":
            return [_ion_value(element) for element in content]
        case "M":
            return _ion_item(content)
        case "SS" | "NS" | "BS":
            elements = [_ion_value({kind[0]: element}) for element in content]
            return IonPyList.from_value(IonType.LIST, elements, annotations=(f"$dynamodb_{kind}",))
    return content
