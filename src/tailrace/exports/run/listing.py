"""Which exports are at a place, and opening one: its manifests checked, its files there.

Theory of operation: folders are looked through from the place on; one with manifests or `_started` is an
export, and what is below it is not looked at. Data files are found by their last name, beside the manifests
(full) or beside the export's folder (incremental, whose data all share one), so that it does not matter which
part of the bucket was copied, or from where.
Rules of this file: everything blocks in a thread. Nothing is passed over in silence: an export that cannot be
read keeps its error, and files that are none of an export's are named. Source: analytics §2.1, §2.2.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from posixpath import join, normpath
from typing import Final

from msgspec import Struct

from tailrace.errors import Refused, SettingsError
from tailrace.exports.core.exported import Compression, DataFile, OutputFormat
from tailrace.exports.core.manifest import (
    CHECKSUMS,
    DATA,
    EXPORT_AGAIN,
    FILES,
    STARTED,
    SUMMARY,
    ExportSummary,
    ManifestFile,
    check_manifest,
    files_of,
    is_export_id,
    summary_of,
)
from tailrace.exports.run.files import ExportFiles, FolderEntries
from tailrace.runtime.threads import in_thread

DEEPEST: Final = 12
MOST_FOLDERS: Final = 10_000
COMPRESSIONS: Final[Mapping[str, Compression]] = {".gz": "GZIP", ".zst": "ZSTD", ".zstd": "ZSTD"}
FORMATS: Final[Mapping[str, OutputFormat]] = {".json": "DYNAMODB_JSON", ".ion": "ION"}
LARGEST_MANIFEST: Final = 64 * 1024 * 1024
"""Bytes: a line has some 250, so a quarter of a million files. DynamoDB writes one or some a partition."""


class ListedExport(Struct, frozen=True):
    """One export of a place.

    Shape:   `folder` below the place; `summary` None while it is not finished, and when it cannot be read:
             then `problem` says why. `unchecked` are manifests without a checksum beside them.
    """

    folder: str
    export_id: str
    summary: ExportSummary | None = None
    problem: Refused | None = None
    unchecked: tuple[str, ...] = ()


class OpenedExport(Struct, frozen=True):
    """What is read: files in the order of the manifest, or of their names where there is none.

    Shape:   `summary` None for data files without manifests; `passed_over` are names at the place that are no
             data files, by convention of others: they begin with `_` or `.`.
    """

    summary: ExportSummary | None
    files: tuple[DataFile, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def total_items(self) -> int | None:
        """As the manifest says."""
        return None if self.summary is None else self.summary.item_count

    @property
    def total_bytes(self) -> int:
        """Of all files as they lie there."""
        return sum(file.size for file in self.files)


async def list_exports(files: ExportFiles) -> tuple[ListedExport, ...]:
    """The exports of a place, the oldest moment first, those that cannot be read last.

    Raises:  Unavailable, Refused where the place itself cannot be read; SettingsError where it has too many
             folders.
    """
    return await in_thread(_listed, files)


async def open_export(files: ExportFiles, export: ListedExport) -> OpenedExport:
    """An export with its files. Raises: Refused naming what is missing, damaged or not finished."""
    return await in_thread(_opened, files, export)


async def open_data_files(files: ExportFiles) -> OpenedExport:
    """The data files of a place and its folders, without manifests: what a table is imported from.

    Raises:  Refused for a file that is not read, and where there is none.
    """
    return await in_thread(_opened_bare, files)


def chosen_export(exports: Sequence[ListedExport], export_id: str | None, place: str) -> ListedExport:
    """The export that is meant: by its id, or the only one. Raises: SettingsError naming those that there
    are.
    """
    there = ", ".join(
        f"{one.export_id} ({one.summary.times if one.summary else 'not readable'})" for one in exports
    )
    if export_id is None and len(exports) == 1:
        return exports[0]
    chosen = [one for one in exports if one.export_id == export_id]
    if len(chosen) == 1:
        return chosen[0]
    hint = f"tailrace export ls {place}"
    if not exports:
        raise SettingsError(f"{place}: no export is there", hint=hint)
    if export_id is None:
        raise SettingsError(f"{place} has {len(exports)} exports; say which: {there}", hint=hint)
    words = "more than one export" if chosen else "no export"
    raise SettingsError(f"{place} has {words} {export_id!r}; there are {there}", hint=hint)


# ---- in a thread -------------------------------------------------------------------------------------------


def _listed(files: ExportFiles) -> tuple[ListedExport, ...]:
    listed: list[ListedExport] = []
    walk = _FolderWalk(files)
    for folder, entries in walk:
        if SUMMARY in entries.files or FILES in entries.files or STARTED in entries.files:
            listed.append(_described(files, folder, entries))
        else:
            walk.enter(folder, [name for name in entries.folders if name != DATA or not folder])
    return tuple(sorted(listed, key=_order))


class _FolderWalk:
    """Folders of a place, each after those above it. Raises: SettingsError for too many, or too deep ones."""

    def __init__(self, files: ExportFiles) -> None:
        self._files = files
        self._waiting = deque([""])
        self._count = 1

    def __iter__(self) -> Iterator[tuple[str, FolderEntries]]:
        while self._waiting:
            folder = self._waiting.popleft()
            yield folder, self._files.entries(folder)

    def enter(self, folder: str, names: Sequence[str]) -> None:
        """Look at folders below one later."""
        self._count += len(names)
        if self._count > MOST_FOLDERS or (names and join(folder, "").count("/") >= DEEPEST):
            raise SettingsError(
                f"{self._files.place} has more than {MOST_FOLDERS:,} folders, or more than {DEEPEST} below "
                "each other: name one nearer to the export, the folder above AWSDynamoDB"
            )
        self._waiting.extend(join(folder, name) for name in names)


def _order(export: ListedExport) -> tuple[bool, int, str]:
    return export.summary is None, export.summary.to_us if export.summary else 0, export.folder


def _described(files: ExportFiles, folder: str, entries: FolderEntries) -> ListedExport:
    named = folder.rpartition("/")[2]
    if not named:
        named = files.place.rstrip("/").rpartition("/")[2]
    if SUMMARY not in entries.files:
        problem = Refused(
            f"{files.place}: export {named} has not finished: it has no {SUMMARY}, which is written last",
            hint="wait until aws dynamodb describe-export says COMPLETED; if it does, copy the folder again. "
            "What tailrace export write left when it was killed is deleted with its folder",
        )
        return ListedExport(folder, named, None, problem)
    try:
        data = _manifest(files, folder, SUMMARY, entries)
        summary = summary_of(data, _shown(files, folder, SUMMARY))
    except Refused as error:
        return ListedExport(folder, named, None, error)
    export_id = summary.export_id or named
    if is_export_id(named) and export_id != named:
        problem = Refused(
            f"{_shown(files, folder, SUMMARY)} is of export {export_id}, and lies in the folder of {named}",
            hint=EXPORT_AGAIN,
        )
        return ListedExport(folder, named, None, problem)
    unchecked = tuple(name for name in (SUMMARY, FILES) if not _digests(name, entries))
    return ListedExport(folder, export_id, summary, None, unchecked)


def _manifest(files: ExportFiles, folder: str, name: str, entries: FolderEntries) -> bytes:
    """A manifest, compared with the checksums that lie beside it. Raises: Refused."""
    shown = _shown(files, folder, name)
    data = files.read(join(folder, name), 0, LARGEST_MANIFEST)
    if data is None:
        raise Refused(f"{shown} is not there", hint=EXPORT_AGAIN)
    for digest_name in _digests(name, entries):
        digest = files.read(join(folder, digest_name), 0, 1_024) or b""
        check_manifest(data, digest, shown, digest_name)
    return data


def _digests(name: str, entries: FolderEntries) -> list[str]:
    names = [f"{name.removesuffix('.json')}.{suffix}" for suffix in CHECKSUMS]
    return [digest_name for digest_name in names if digest_name in entries.files]


def _opened(files: ExportFiles, export: ListedExport) -> OpenedExport:
    if export.problem is not None:
        raise export.problem
    summary = export.summary
    assert summary is not None
    data = _manifest(files, export.folder, FILES, files.entries(export.folder))
    listed = files_of(data, _shown(files, export.folder, FILES), summary)
    own, shared = join(export.folder, DATA), normpath(join(export.folder, "..", DATA))
    folders = (own, shared) if summary.is_full else (shared, own)
    there: dict[str, tuple[str, int]] = {}
    wanted = {file.base_name for file in listed}
    for folder in (*folders, export.folder):
        if wanted <= there.keys():
            break
        for name, size in files.entries(folder).files.items():
            there.setdefault(name, (join(folder, name), size))
    if missing := [file.base_name for file in listed if file.base_name not in there]:
        raise Refused(
            f"{files.place}: {len(missing)} of {len(listed)} files of export {export.export_id} are not "
            f"there: {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}; looked for in "
            f"{folders[0]} and {folders[1]}",
            hint="incremental exports keep their data in AWSDynamoDB/data, beside their folders: copy it too"
            if not summary.is_full
            else EXPORT_AGAIN,
        )
    return OpenedExport(summary, tuple(_of_manifest(file, summary, there[file.base_name]) for file in listed))


def _of_manifest(file: ManifestFile, summary: ExportSummary, there: tuple[str, int]) -> DataFile:
    name, size = there
    suffix = "." + name.rpartition(".")[2]
    return DataFile(name, size, summary.format, COMPRESSIONS.get(suffix, "NONE"), file.items, file.md5)


def _opened_bare(files: ExportFiles) -> OpenedExport:
    data: list[DataFile] = []
    passed_over: list[str] = []
    walk = _FolderWalk(files)
    for folder, entries in walk:
        for base_name, size in entries.files.items():
            name = join(folder, base_name)
            if base_name.startswith(("_", ".")):
                passed_over.append(name)
            else:
                data.append(_of_name(name, size, files.place))
        walk.enter(folder, entries.folders)
    if not data:
        raise Refused(
            f"{files.place}: neither an export (a folder with {SUMMARY}) nor a data file "
            "(.json, .ion, and these with .gz or .zst) is there",
            hint=f"tailrace export ls {files.place}",
        )
    return OpenedExport(None, tuple(sorted(data, key=lambda file: file.name)), tuple(sorted(passed_over)))


def _of_name(name: str, size: int, place: str) -> DataFile:
    """A data file by its name alone. Raises: Refused for one that is not read."""
    stem, dot, suffix = name.rpartition(".")
    compression = COMPRESSIONS.get(dot + suffix)
    if compression is not None:
        stem, dot, suffix = stem.rpartition(".")
    output = FORMATS.get(dot + suffix)
    if output is not None:
        return DataFile(name, size, output, compression or "NONE")
    if suffix == "csv":
        raise Refused(
            f"{place}: {name} is CSV, which is not read: its attributes have no types but those of the key",
            hint="import it with aws dynamodb import-table, and export that table",
        )
    raise Refused(
        f"{place}: {name} is no data file that is read: .json or .ion, and these with .gz or .zst",
        hint="name the folder of data files alone, or the folder with manifest-summary.json",
    )


def _shown(files: ExportFiles, folder: str, name: str) -> str:
    return f"{files.place.rstrip('/')}/{join(folder, name)}"
