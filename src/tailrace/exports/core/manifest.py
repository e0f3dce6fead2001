"""Manifests of an export: what was exported, and the list of its files with their checksums.

Theory of operation: an export writes `_started` first, then data files, `manifest-files.json`, and
`manifest-summary.json` last, so an export without a summary has not finished. Version 2020-06-30 is of full
exports alone; 2023-08-01 says the type, and an incremental one the window.
Rules of this file: pure; bytes in, values out. Whatever is missing or of another kind is refused, with the
file and the member. How a summary says that the export was filtered has not been seen: any member that begins
with `filter` counts. Source: analytics §2.1, §8.
"""

import re
from base64 import b64encode
from binascii import Error, a2b_base64, unhexlify
from collections.abc import Mapping
from hashlib import md5
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import orjson
from msgspec import Struct

from tailrace.errors import Refused
from tailrace.exports.core.exported import ExportType, OutputFormat
from tailrace.streams.dates import label, micros_of

SUMMARY: Final = "manifest-summary.json"
FILES: Final = "manifest-files.json"
STARTED: Final = "_started"
DATA: Final = "data"
CHECKSUMS: Final = ("checksum", "md5")
"""How the name of a checksum may end in place of `json`; both have been seen."""
FULL_ALONE: Final = "2020-06-30"
VERSIONS: Final = (FULL_ALONE, "2023-08-01")
ViewOfExport: TypeAlias = Literal["NEW_AND_OLD_IMAGES", "NEW_IMAGE"]
SHOWN: Final = 200
"""Characters of a line that an error shows."""
_ID: Final = re.compile(r"\d{14}-[0-9a-f]{8}", re.ASCII)
EXPORT_AGAIN: Final = "copy it from S3 again (aws s3 sync), or export the table again"


class ExportSummary(Struct, frozen=True):
    """What manifest-summary.json says.

    Shape:   `view` and `from_us` are of an incremental export, None in a full one; `bucket` and `prefix` are
             those it was written to, wherever it lies now; `is_filtered` when the export was asked for with a
             FilterSpecification, so that it has not all items, or not all of each.
    Units:   from_us (inclusive) and to_us (exclusive) since the epoch: the window, and the one moment of a
             full export in to_us; billed_bytes as AWS bills them.
    """

    export_id: str
    export_type: ExportType
    format: OutputFormat
    table_arn: str
    table_id: str
    to_us: int
    item_count: int
    billed_bytes: int
    bucket: str
    prefix: str
    from_us: int | None = None
    view: ViewOfExport | None = None
    is_filtered: bool = False

    @property
    def is_full(self) -> bool:
        """Whether it holds the whole table."""
        return self.export_type == "FULL_EXPORT"

    @property
    def table(self) -> str:
        """The table's name."""
        return self.table_arn.rpartition(":table/")[2]

    @property
    def times(self) -> str:
        """The moment or the window, for people.

        >>> ExportSummary("1", "FULL_EXPORT", "ION", "", "", 60_000_000, 0, 0, "", "").times
        '1970-01-01T00:01:00.000Z'
        """
        end = spoken_us(self.to_us)
        return end if self.from_us is None else f"{spoken_us(self.from_us)} to {end}"


class ManifestFile(Struct, frozen=True):
    """A line of manifest-files.json. Shape: `base_name` is the last part of its key, `md5` base64."""

    base_name: str
    items: int
    md5: str


def spoken_us(wall_us: int) -> str:
    """A moment for people and for AWS's command line, to the millisecond. Units: µs since the epoch."""
    return f"{label(wall_us // 1_000)}Z"


def summary_of(data: bytes, name: str) -> ExportSummary:
    """The summary in a file called `name`. Raises: Refused naming the member that is missing or wrong."""
    members = _object(data, name)
    version = _member(members, "version", str, name)
    if version not in VERSIONS:
        raise Refused(
            f"{name}: a manifest of version {version!r}; those that are read are {' and '.join(VERSIONS)}",
            hint="look for a newer Tailrace: python -m pip index versions tailrace",
        )
    kind = "FULL_EXPORT" if version == FULL_ALONE else members.get("exportType") or "FULL_EXPORT"
    if kind not in get_args(ExportType):
        raise Refused(f"{name}: exportType is {kind!r}; it is {' or '.join(get_args(ExportType))}")
    output = _member(members, "outputFormat", str, name)
    if output not in get_args(OutputFormat):
        raise Refused(
            f"{name}: outputFormat is {output!r}; those that are read are {', '.join(get_args(OutputFormat))}"
        )
    is_full = kind == "FULL_EXPORT"
    arn = str(members.get("exportArn") or "")
    return ExportSummary(
        arn.rpartition("/export/")[2],
        cast("ExportType", kind),
        cast("OutputFormat", output),
        _member(members, "tableArn", str, name),
        _member(members, "tableId", str, name),
        _time(members, "exportTime" if is_full else "exportToTime", name),
        _count(members, "itemCount", name),
        _count(members, "billedSizeBytes", name),
        str(members.get("s3Bucket") or ""),
        str(members.get("s3Prefix") or ""),
        None if is_full else _time(members, "exportFromTime", name),
        None if is_full else _view(members, name),
        any(member.lower().startswith("filter") and value for member, value in members.items()),
    )


def files_of(data: bytes, name: str, summary: ExportSummary) -> tuple[ManifestFile, ...]:
    """The files that a manifest lists, in its order. Raises: Refused naming the line, or where the counts do
    not add up to the summary's.
    """
    listed: list[ManifestFile] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        members = _object(line, place)
        key = _member(members, "dataFileS3Key", str, place)
        digest = _member(members, "md5Checksum", str, place)
        listed.append(ManifestFile(key.rpartition("/")[2], _count(members, "itemCount", place), digest))
    total = sum(file.items for file in listed)
    if total != summary.item_count:
        raise Refused(
            f"{name}: its {len(listed)} files have {total:,} items, and the summary says "
            f"{summary.item_count:,}: a line is missing or added",
            hint=EXPORT_AGAIN,
        )
    names = [file.base_name for file in listed]
    if len(set(names)) != len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise Refused(f"{name}: the file {twice} is listed twice", hint=EXPORT_AGAIN)
    return tuple(listed)


def check_manifest(data: bytes, digest: bytes, name: str, digest_name: str) -> None:
    """Whether a manifest is the one that its checksum file was made of. Shape: `digest` is that file: the MD5
    in base64, or in hexadecimal digits. Raises: Refused.
    """
    text = digest.split()[0] if digest.split() else b""
    try:
        stated = unhexlify(text) if len(text) == 32 else a2b_base64(text, strict_mode=True)
    except Error:
        stated = b""
    if len(stated) != 16:
        raise Refused(
            f"{digest_name}: {digest[:SHOWN]!r} is no MD5 in base64 or hexadecimal", hint=EXPORT_AGAIN
        )
    actual = md5(data, usedforsecurity=False).digest()
    if stated != actual:
        raise Refused(
            f"{name} is not the file that {digest_name} was made of: its MD5 is "
            f"{b64encode(actual).decode()}, and there stands {b64encode(stated).decode()}",
            hint=EXPORT_AGAIN,
        )


def is_export_id(text: str) -> bool:
    """Whether a folder is called as DynamoDB calls an export.

    >>> is_export_id("01693685827463-2d8752fd"), is_export_id("data")
    (True, False)
    """
    return _ID.fullmatch(text) is not None


# ---- members -----------------------------------------------------------------------------------------------


def _object(data: bytes, place: str) -> dict[str, Any]:
    try:
        members = orjson.loads(data)
    except ValueError as error:
        raise Refused(f"{place}: no JSON ({error}): {_shown(data)}", hint=EXPORT_AGAIN) from error
    if not isinstance(members, dict):
        raise Refused(f"{place}: no JSON object: {_shown(data)}", hint=EXPORT_AGAIN)
    return members


def _member(members: Mapping[str, Any], name: str, kind: type, place: str) -> Any:
    value = members.get(name)
    if type(value) is not kind:
        raise Refused(f"{place}: {name} is {value!r}, where a {kind.__name__} stands", hint=EXPORT_AGAIN)
    return value


def _count(members: Mapping[str, Any], name: str, place: str) -> int:
    count: int = _member(members, name, int, place)
    if count < 0:
        raise Refused(f"{place}: {name} is {count}", hint=EXPORT_AGAIN)
    return count


def _time(members: Mapping[str, Any], name: str, place: str) -> int:
    text: str = _member(members, name, str, place)
    try:
        return micros_of(text)
    except ValueError as error:
        raise Refused(f"{place}: {name} is no time: {error}", hint=EXPORT_AGAIN) from error


def _view(members: Mapping[str, Any], place: str) -> ViewOfExport:
    view = members.get("outputView")
    if view not in get_args(ViewOfExport):
        raise Refused(
            f"{place}: outputView is {view!r}: an incremental export without the new images says that items "
            "changed and not what they are",
            hint="export the window again with ExportViewType=NEW_AND_OLD_IMAGES",
        )
    return cast("ViewOfExport", view)


def _shown(data: bytes) -> str:
    return repr(data[:SHOWN].decode(errors="replace"))
