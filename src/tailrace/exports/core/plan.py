"""An export that is to be written: what it is called, where its files lie, what its lines and manifests say.

Theory of operation: an export is decided before its first byte: its id, moment or window, format. All names
follow from that, those of data files too (DynamoDB's are random, ours hash id and number), so that whoever
writes it again, or takes an unfinished one away, knows them without a list. The summary comes last: an export
without one does not exist for its readers.
Rules of this file: pure, the counterpart of manifest.py and lines.py, which read what stands here. Names are
below the place that is written to; keys in manifests have the prefix of the bucket before them. Source:
analytics §2.1. Decision 83.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import md5, sha256
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.errors import InternalError, Refused
from tailrace.exports.core.chain import LONGEST_US, SHORTEST_US
from tailrace.exports.core.exported import ExportedItem, OutputFormat
from tailrace.exports.core.ion import ion_of
from tailrace.exports.core.lines import json_of
from tailrace.exports.core.manifest import (
    DATA,
    FILES,
    FULL_ALONE,
    STARTED,
    SUMMARY,
    VERSIONS,
    ExportSummary,
    ViewOfExport,
    is_export_id,
    spoken_us,
)
from tailrace.values.canonical import size_bytes

ROOT: Final = "AWSDynamoDB"
MS_US: Final = 1_000
NAME_LETTERS: Final = 26
CHANCES: Final = 1 << 32
LAST_MS: Final = 10**14 - 1


class PlannedExport(Struct, frozen=True):
    """What an export is to be.

    Shape:   `from_us` and `view` are of an incremental export, None in a full one; `bucket` and `prefix` are
             where it is written to, "" in a directory.
    Units:   to_us, from_us and started_us since the epoch, whole milliseconds, as `ExportSummary` means them.
    """

    export_id: str
    table_arn: str
    table_id: str
    to_us: int
    started_us: int
    format: OutputFormat = "DYNAMODB_JSON"
    bucket: str = ""
    prefix: str = ""
    from_us: int | None = None
    view: ViewOfExport | None = None

    @property
    def is_full(self) -> bool:
        """Whether it holds the whole table."""
        return self.from_us is None

    @property
    def folder(self) -> str:
        """The export's own folder."""
        return f"{ROOT}/{self.export_id}"

    @property
    def started(self) -> str:
        """The name of what is written first."""
        return f"{self.folder}/{STARTED}"

    @property
    def files(self) -> str:
        """The name of the list of data files."""
        return f"{self.folder}/{FILES}"

    @property
    def summary(self) -> str:
        """The name of what is written last."""
        return f"{self.folder}/{SUMMARY}"

    @property
    def data_folder(self) -> str:
        """Where data files lie; all incremental exports of a place share one."""
        return f"{self.folder if self.is_full else ROOT}/{DATA}"

    def data_file(self, number: int) -> str:
        """The name of a data file, counted from 0."""
        hashed = sha256(f"{self.export_id} {number}".encode()).hexdigest()[:NAME_LETTERS]
        return f"{self.data_folder}/{hashed}.{'ion' if self.format == 'ION' else 'json'}.gz"

    def key(self, name: str) -> str:
        """The key in the bucket of what has this name at the place."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def finished(self, items: int, billed_bytes: int) -> ExportSummary:
        """What the summary says to its readers."""
        return ExportSummary(
            self.export_id,
            "FULL_EXPORT" if self.is_full else "INCREMENTAL_EXPORT",
            self.format,
            self.table_arn,
            self.table_id,
            self.to_us,
            items,
            billed_bytes,
            self.bucket,
            self.prefix,
            self.from_us,
            self.view,
        )


class WrittenFile(Struct, frozen=True):
    """A data file that lies at the place. Shape: its name there; `md5` in base64."""

    name: str
    items: int
    md5: str
    etag: str


def export_id_of(started_us: int, chance: int) -> str:
    """A new export's id, as DynamoDB makes them: when it began, and eight hexadecimal digits of chance.

    Raises:  InternalError for a time or a chance that does not fit.

    >>> export_id_of(1_693_685_827_463_999, 0x2D8752FD)
    '01693685827463-2d8752fd'
    """
    started_ms = started_us // MS_US
    if not (0 <= started_ms <= LAST_MS and 0 <= chance < CHANCES):
        raise InternalError(f"no id of an export has the time {started_us} µs and the chance {chance}")
    return f"{started_ms:014d}-{chance:08x}"


def checked_plan(plan: PlannedExport) -> PlannedExport:
    """A plan whose export every reader takes. Raises: Refused naming what it would stumble over."""
    named = f"export {plan.export_id} of {plan.table_arn}"
    if not is_export_id(plan.export_id):
        raise Refused(
            f"{plan.export_id!r} is no id of an export: 14 digits, - and 8 hexadecimal digits",
            hint="like 01693685827463-2d8752fd",
        )
    for name, value in (("TableArn", plan.table_arn.partition(":table/")[2]), ("TableId", plan.table_id)):
        if not value:
            raise Refused(f"{named}: {name} is missing, so nobody can tell which table it is of")
    for moment in (plan.to_us, plan.from_us, plan.started_us):
        if moment is not None and (moment % MS_US or not 0 <= moment // MS_US <= LAST_MS):
            raise Refused(f"{named}: {moment} µs is no whole millisecond, and manifests know no other times")
    if plan.is_full != (plan.view is None):
        raise Refused(f"{named}: an incremental export has a view and a window, and a full one has neither")
    if plan.from_us is not None and not SHORTEST_US <= plan.to_us - plan.from_us <= LONGEST_US:
        raise Refused(
            f"{named}: a window is 15 minutes to 24 hours long, and this one goes from "
            f"{spoken_us(plan.from_us)} to {spoken_us(plan.to_us)}",
            hint="take several windows, each from where the last one ends",
        )
    return plan


# ---- what is written ---------------------------------------------------------------------------------------


def line_of(format: OutputFormat, exported: ExportedItem) -> bytes:
    """The line of an item or a change, with its end. Guarantee: read again it is the same. Raises:
    SettingsError without the extra `exports` for ION.
    """
    return (ion_of(exported) if format == "ION" else json_of(exported)) + b"\n"


def shown(plan: PlannedExport, exported: ExportedItem) -> ExportedItem:
    """What this kind of export shows of an item or a change. Raises: InternalError for what it cannot."""
    if plan.from_us is None:
        if exported.new is None:
            raise InternalError(f"a full export holds items, and {exported.keys} is none any more")
        return ExportedItem(None, exported.new)
    keys, written_us = exported.keys, exported.written_us
    if not keys or written_us is None:
        raise InternalError("a change in an incremental export has keys and a time")
    if not plan.from_us <= written_us < plan.to_us:
        raise InternalError(
            f"a change of {keys} at {spoken_us(written_us)} is not in the window from "
            f"{spoken_us(plan.from_us)} to before {spoken_us(plan.to_us)}"
        )
    old = exported.old if plan.view == "NEW_AND_OLD_IMAGES" else None
    return ExportedItem(keys, exported.new, old, written_us)


def net_change(changes: Sequence[ExportedItem]) -> ExportedItem | None:
    """What an incremental export says of one key's changes in its window, in their order: what was there
    before the first, what is there after the last, and when that was.

    Returns: None where it was not there before and is not after: DynamoDB writes no line then, either.
    """
    first, last = changes[0], changes[-1]
    if first.old is None and last.new is None:
        return None
    return ExportedItem(last.keys, last.new, first.old, last.written_us)


def billed_bytes(exported: ExportedItem) -> int:
    """What DynamoDB counts for it: its images, and its keys where it has them."""
    parts = (exported.keys, exported.new, exported.old)
    return sum(size_bytes(part) for part in parts if part is not None)


def written_file(name: str, items: int, data: bytes) -> WrittenFile:
    """What the manifest says of a data file. Shape: the ETag is that of an object put in one request."""
    digest = md5(data, usedforsecurity=False)
    return WrittenFile(name, items, b64encode(digest.digest()).decode(), digest.hexdigest())


def files_manifest(plan: PlannedExport, files: Sequence[WrittenFile]) -> bytes:
    """manifest-files.json: a line a file."""
    lines = (
        {
            "itemCount": file.items,
            "md5Checksum": file.md5,
            "etag": file.etag,
            "dataFileS3Key": plan.key(file.name),
        }
        for file in files
    )
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def summary_manifest(plan: PlannedExport, items: int, billed: int, ended_us: int) -> bytes:
    """manifest-summary.json. Guarantee: `manifest.summary_of` reads `plan.finished(items, billed)` in it.
    Units: ended_us since the epoch, billed in bytes.
    """
    members: dict[str, Any] = {
        "version": FULL_ALONE if plan.is_full else VERSIONS[-1],
        "exportArn": f"{plan.table_arn}/export/{plan.export_id}",
        "startTime": spoken_us(plan.started_us),
        "endTime": spoken_us(max(ended_us, plan.started_us)),
        "tableArn": plan.table_arn,
        "tableId": plan.table_id,
        "exportTime": spoken_us(plan.to_us) if plan.is_full else None,
        "s3Bucket": plan.bucket or None,
        "s3Prefix": plan.prefix or None,
        "s3SseAlgorithm": "AES256" if plan.bucket else None,
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": plan.key(plan.files),
        "billedSizeBytes": billed,
        "itemCount": items,
        "outputFormat": plan.format,
    }
    if plan.from_us is not None:
        members |= {
            "exportFromTime": spoken_us(plan.from_us),
            "exportToTime": spoken_us(plan.to_us),
            "outputView": plan.view,
            "exportType": "INCREMENTAL_EXPORT",
        }
    return orjson.dumps(members)


def checksum_name(name: str) -> str:
    """What the checksum of a manifest is called, beside it.

    >>> checksum_name("AWSDynamoDB/01693685827463-2d8752fd/manifest-files.json")
    'AWSDynamoDB/01693685827463-2d8752fd/manifest-files.md5'
    """
    return f"{name.removesuffix('.json')}.md5"


def checksum_of(data: bytes) -> bytes:
    """What stands in it: the MD5 in base64.

    >>> checksum_of(b"")
    b'1B2M2Y8AsgTpgAmY7PhCfg=='
    """
    return b64encode(md5(data, usedforsecurity=False).digest())
