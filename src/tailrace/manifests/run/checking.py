"""Whether a manifest's chain is whole: what is lost of it, and what was not written by its law.

Rules of this file: nothing is written. It reads what is there, not what a log would read.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from tailrace.errors import SettingsError
from tailrace.manifests.core.manifest import (
    EMPTY,
    ManifestDelta,
    TableManifest,
    folded,
    read_kept,
)
from tailrace.manifests.core.names import number_in
from tailrace.manifests.run.log import ManifestHead
from tailrace.ports import ArchiveStore

Numbered = TypeVar("Numbered", ManifestDelta, TableManifest)


async def chain_faults(archive: ArchiveStore, folder: str) -> Sequence[tuple[str, str]]:
    """What is wrong with a manifest's own files: (name, reason). Raises: ArchiveError.

    Off by one: deltas below a whole manifest may be gone, for they are deleted after a time; none above the
    last one may, as long as a later one is there.
    """
    faults: list[tuple[str, str]] = []
    deltas = await _read(archive, f"{folder}/delta/", ManifestDelta, faults)
    fulls = await _read(archive, f"{folder}/full/", TableManifest, faults)
    begin = await _head(archive, folder, fulls, faults)
    last = max(deltas, default=0)
    for number in range(begin + 1, last):
        if number not in deltas:
            faults.append((_name(folder, "delta", number), "it is not there, and later ones are"))
    starts = sorted({0: EMPTY, **fulls}.items())
    for (number, manifest), (following, whole) in pairwise(starts):
        made = _folded(manifest, deltas, number, following)
        if made is not None and made != whole:
            reason = f"it is not what manifest {number} and the deltas after it come to"
            faults.append((_name(folder, "full", following), reason))
    return faults


async def _head(
    archive: ArchiveStore, folder: str, fulls: dict[int, TableManifest], faults: list[tuple[str, str]]
) -> int:
    """The number of the whole manifest that readers begin with."""
    blob = await archive.get(f"{folder}/head.json")
    if blob is None:
        if fulls:
            faults.append((f"{folder}/head.json", "it is not there, and whole manifests are"))
        return max(fulls, default=0)
    try:
        number = read_kept(f"{folder}/head.json", blob.data, ManifestHead).full
    except SettingsError as error:
        faults.append((f"{folder}/head.json", error.args[0]))
        return max(fulls, default=0)
    if number not in fulls:
        faults.append((_name(folder, "full", number), "it is not there, and head.json names it"))
    return number


async def _read(
    archive: ArchiveStore, prefix: str, shape: type[Numbered], faults: list[tuple[str, str]]
) -> dict[int, Numbered]:
    """What is there under numbers, by its number."""
    values: dict[int, Numbered] = {}
    for name in await archive.list(prefix):
        number = number_in(name)
        if number is None:  # a file of somebody else's
            continue
        blob = await archive.get(name)
        if blob is None:  # deleted meanwhile
            continue
        try:
            value = read_kept(name, blob.data, shape)
        except SettingsError as error:
            faults.append((name, error.args[0]))
            continue
        if value.number != number:
            faults.append((name, f"it says that its number is {value.number}"))
            continue
        values[number] = value
    return values


def _folded(
    manifest: TableManifest, deltas: dict[int, ManifestDelta], number: int, following: int
) -> TableManifest | None:
    """A manifest and the deltas after it; None where one is not there any more."""
    for between in range(number + 1, following + 1):
        delta = deltas.get(between)
        if delta is None:
            return None
        manifest = folded(manifest, delta)
    return manifest


def _name(folder: str, kind: str, number: int) -> str:
    return f"{folder}/{kind}/{number:020d}.json"
