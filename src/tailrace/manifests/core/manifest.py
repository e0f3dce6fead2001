"""What a table of files is: its manifest, made of numbered deltas, each of which all readers judge alike.

Theory of operation: a table is the fold of its deltas 1, 2, 3 …, and a delta exists when it was written under
its number, which only one writer can do. A writer judges its parts by the manifest before that number; who
loses a number reads the winner's delta, and judges again. A delta has parts: a *step* takes a shard or moves
its position and adds the files of what was read between; others add files, swap files for others that hold
the same, or note something. A part is void for every reader when what it was made from is not so: a step
whose epoch is not the shard's, or that does not begin where the last one ended; files removed that are not
there; a name that is taken. So the chain of steps is the continuity, and nothing is de-duplicated by content.
A name that was removed stays *retired* for a time: readers of an older manifest still find the file, and no
writer may use the name until it is forgotten.
Rules of this file: pure; values only. A file is named, never looked for. Lakes and journals have the same
law; what only one of them tells is left out of the other's bytes. Decisions 71, 76.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import InternalError, SettingsError
from tailrace.manifests.core.names import digest

FORMAT: Final = 1
KEEP_MS: Final = 3_600_000
"""How long what nothing names any more is kept: files, deltas, what no commit has named."""
T = TypeVar("T", bound=Struct)


class TableFile(Struct, frozen=True, omit_defaults=True):
    """One file of a table.

    Shape:   `part` says which part of the table it is of; `first` and `last` its smallest and its largest key
             in hex, where readers choose files by key. Of a journal's segment also the smallest and the
             largest version, in hex, and the times between which its changes were created.
    Units:   size in bytes; times in microseconds since the epoch, known to within `precision_us`.
    """

    name: str
    part: str
    rows: int
    size: int
    first: str = ""
    last: str = ""
    first_version: str = ""
    last_version: str = ""
    from_us: int = 0
    until_us: int = 0
    precision_us: int = 0


class CommittedPosition(Struct, frozen=True, omit_defaults=True):
    """How far a shard is in the table, and under which epoch.

    Shape:   `gaps` are ranges (first, last) of which nothing is there, because nothing was there any more to
             be read. `leaves` and `frontier` are of the tree over a journal's records of this shard: how
             many, and in hex the roots of its whole subtrees, the largest first.
    """

    epoch: int
    through: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    leaves: int = 0
    frontier: tuple[str, ...] = ()


class DeltaPart(Struct, frozen=True, omit_defaults=True):
    """What one commit does, whole or not at all.

    Shape:   with a `place` it is a step of that shard: from `after` to `through` under `epoch`; one that only
             takes the shard has both the same, and one that is `put` by an operator may go back. Its `gaps`
             join those of the shard; with files it says what the shard's tree is after them. `notes`
             replace those of the same names. `retired` are names of files that no manifest has had,
             `forgotten` names that were retired and are deleted.
    """

    place: str = ""
    epoch: int = 0
    after: int = 0
    through: int = 0
    is_put: bool = False
    gaps: tuple[tuple[int, int], ...] = ()
    leaves: int = 0
    frontier: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[TableFile, ...] = ()
    retired: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    notes: Mapping[str, str] = {}


class ManifestDelta(Struct, frozen=True):
    """What is written under one number. Units: at_ms since the epoch, by the writer's clock."""

    number: int
    at_ms: int
    parts: tuple[DeltaPart, ...]


class TableManifest(Struct, frozen=True):
    """A table as of a number.

    Shape:   positions by place (`place_name`), files and retired names by name; files in the order in which
             they came. `forgot` is the number of the last delta that forgot names: a file that a writer has
             seen before it may be gone. Units: retired at, ms since the epoch.
    """

    number: int = 0
    at_ms: int = 0
    positions: Mapping[str, CommittedPosition] = {}
    files: Mapping[str, TableFile] = {}
    retired: Mapping[str, int] = {}
    notes: Mapping[str, str] = {}
    forgot: int = 0

    def of_part(self, prefix: str) -> list[TableFile]:
        """The files of the parts that begin so, in the order in which they came."""
        return [file for file in self.files.values() if file.part.startswith(prefix)]


EMPTY: Final = TableManifest()


def place_name(mapping: str, stream: str, shard: str) -> str:
    """What a shard of a mapping is called in a manifest; none is the beginning of another.

    >>> place_name("orders", "2026-01-01", "shard/1")
    '["orders","2026-01-01","shard/1"]'
    """
    return msgspec.json.encode([mapping, stream, shard]).decode()


def place_parts(place: str) -> tuple[str, str, str]:
    """Mapping, stream and shard of a place."""
    return msgspec.json.decode(place, type=tuple[str, str, str])


def void_reason(manifest: TableManifest, part: DeltaPart) -> str:
    """Why a part is void after this manifest; "" when it counts.

    >>> void_reason(EMPTY, DeltaPart(place='["orders","s","1"]', epoch=3, through=7))
    'the shard was never taken'
    """
    reasons = (_step_reason(manifest, part), _files_reason(manifest, part))
    return next((reason for reason in reasons if reason), "")


def _step_reason(manifest: TableManifest, part: DeltaPart) -> str:
    if not part.place:
        return ""
    there = manifest.positions.get(part.place)
    takes = part.after == part.through
    through = 0 if there is None else there.through
    if there is None and not takes:
        return "the shard was never taken"
    if there is not None and (part.epoch < there.epoch or (part.epoch != there.epoch and not takes)):
        return f"epoch {part.epoch} is not that of the shard, {there.epoch}"
    if part.after != through or (part.through < part.after and not part.is_put):
        return f"it goes from {part.after} to {part.through}, and the shard is at {through}"
    return "a step without changes has files" if part.added and (takes or part.is_put) else ""


def _files_reason(manifest: TableManifest, part: DeltaPart) -> str:
    for name in part.removed:
        if name not in manifest.files:
            return f"{name} is not there to be removed"
    names = [file.name for file in part.added]
    for name in names:
        if name in manifest.files or name in manifest.retired:
            return f"{name} is taken"
    if len(set(names)) != len(names):
        return "a name is added twice"
    for name in part.retired:
        if name in manifest.files or name in names:
            return f"{name} is in use"
    return ""


def with_part(manifest: TableManifest, part: DeltaPart, at_ms: int) -> TableManifest:
    """The manifest after a part; the same when it is void."""
    if void_reason(manifest, part):
        return manifest
    positions, files, retired = manifest.positions, manifest.files, manifest.retired
    if part.place:
        positions = {**positions, part.place: _moved(positions.get(part.place), part)}
    if part.removed or part.added:
        removed = set(part.removed)
        files = {name: file for name, file in files.items() if name not in removed} if removed else {**files}
        files.update((file.name, file) for file in part.added)
    if part.removed or part.retired or part.forgotten:
        forgotten = set(part.forgotten)
        retired = {name: at for name, at in retired.items() if name not in forgotten}
        retired.update(dict.fromkeys((*part.removed, *part.retired), at_ms))
    notes = {**manifest.notes, **part.notes} if part.notes else manifest.notes
    forgot = manifest.number + 1 if part.forgotten else manifest.forgot
    return TableManifest(manifest.number, manifest.at_ms, positions, files, retired, notes, forgot)


def _moved(there: CommittedPosition | None, part: DeltaPart) -> CommittedPosition:
    """Where a shard is after a step."""
    before = CommittedPosition(0) if there is None else there
    leaves, frontier = (part.leaves, part.frontier) if part.leaves else (before.leaves, before.frontier)
    return CommittedPosition(part.epoch, part.through, before.gaps + part.gaps, leaves, frontier)


def folded(manifest: TableManifest, delta: ManifestDelta) -> TableManifest:
    """The manifest after a delta. Raises: InternalError for a number that is not the next one."""
    if delta.number != manifest.number + 1:
        raise InternalError(f"delta {delta.number} does not follow manifest {manifest.number}")
    for part in delta.parts:
        manifest = with_part(manifest, part, delta.at_ms)
    return replace(manifest, number=delta.number, at_ms=delta.at_ms)


def unnamed(manifest: TableManifest, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that lie there and are of no file that the manifest has or had."""
    return tuple(name for name in names if name not in manifest.files and name not in manifest.retired)


def deletable(manifest: TableManifest, now_ms: int) -> tuple[str, ...]:
    """Retired names whose time is over.

    >>> deletable(TableManifest(retired={"a": 0, "b": 1}), KEEP_MS)
    ('a',)
    """
    return tuple(name for name, at_ms in manifest.retired.items() if at_ms + KEEP_MS <= now_ms)


# ---- bytes -------------------------------------------------------------------------------------------------


class _Kept(Struct, forbid_unknown_fields=True):
    """Shape: `sha256` has the first digits of the hash of the value's bytes; "" in files of before it. A
    member that is none of these is a damaged one, so that a flipped bit in a name is no reason not to look.
    """

    format: int
    value: msgspec.Raw
    sha256: str = ""


def write_kept(value: Struct) -> bytes:
    """A manifest or a delta as it is kept."""
    data = msgspec.json.encode(value)
    return msgspec.json.encode(_Kept(FORMAT, msgspec.Raw(data), digest(data)))


def read_kept(name: str, data: bytes, shape: type[T]) -> T:
    """What `write_kept` wrote. Raises: SettingsError for another format, or bytes that are none or others."""
    try:
        kept = msgspec.json.decode(data, type=_Kept)
        if kept.format == FORMAT:
            if kept.sha256 and kept.sha256 != digest(bytes(kept.value)):
                raise SettingsError(
                    f"{name} is damaged: its bytes are not those that its hash was made of",
                    hint="restore it from a backup",
                )
            return msgspec.json.decode(kept.value, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{name} is no {shape.__name__}: {error}; it begins {data[:60]!r}",
            hint="restore it from a backup, or write to another place",
        ) from error
    raise SettingsError(
        f"{name} has format {kept.format}, and this version of tailrace reads format {FORMAT}",
        hint="run the version that wrote it, or write to another place",
    )
