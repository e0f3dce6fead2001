"""What nothing names any more is retired, and deleted an hour later; deltas that are folded, too.

Theory of operation: what lies there and no delta has named (a writer died between) is retired like what was
replaced: after that no writer can name it. So nothing is deleted that somebody is about to name.
Rules of this file: safe to be cut off between any two calls, and to be run by many at once.
"""

from collections.abc import Sequence

from tailrace.manifests.core.manifest import DeltaPart, TableManifest, deletable, unnamed
from tailrace.manifests.run.log import ManifestLog
from tailrace.manifests.run.target import ManifestTarget, outages
from tailrace.ports import ArchiveStore


async def clean_files(target: ManifestTarget, archive: ArchiveStore, own: Sequence[str], now_ms: int) -> int:
    """Retire what nothing names, and delete what was retired an hour ago. Shape: `own` are the names of files
    that lie there. Returns: how many were deleted. Raises: Unavailable.
    """

    def retire(manifest: TableManifest) -> DeltaPart | None:
        names = unnamed(manifest, own)
        return DeltaPart(retired=names) if names else None

    names = deletable(await target.commit_plan(retire), now_ms)
    with outages():
        for name in names:
            await archive.delete(name)
    if names:

        def forget(manifest: TableManifest) -> DeltaPart | None:
            still = tuple(name for name in names if name in manifest.retired)
            return DeltaPart(forgotten=still) if still else None

        await target.commit_plan(forget)
    return len(names)


async def clean_manifest(log: ManifestLog, archive: ArchiveStore, now_ms: int) -> int:
    """Delete deltas and whole manifests before the one with which readers have begun for an hour. Returns:
    how many. Raises: Unavailable.
    """
    with outages():
        names = await log.superseded(now_ms)
        for name in names:
            await archive.delete(name)
    return len(names)
