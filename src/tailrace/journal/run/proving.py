"""The proof of one change: its leaf found in the journal, with the paths to a head.

Stands alone because a verifier needs no proof, and a proof no verification.
Rules of this file: nothing is written. A journal whose rows are not those of its manifest proves nothing.
"""

from tailrace.errors import SettingsError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.heads import ShardTree, TreeHead
from tailrace.journal.core.proofs import ChangeProof, proof_of
from tailrace.journal.core.records import SCAN, Selection
from tailrace.journal.run.reading import JournalReader, JournalView
from tailrace.journal.run.verifying import head_of_view
from tailrace.streams.version import Version


async def view_with(reader: JournalReader, key: bytes, version: Version | None) -> JournalView:
    """The newest incarnation of a table that has a change of a key, else the newest one. Shape: with a
    version that very change. Raises: Unavailable.
    """
    newest = await reader.view()
    for view in [newest, *reversed(await reader.views())]:
        changes = [change for change in await view.history(key) if change.origin != SCAN]
        if any(version is None or change.version == version for change in changes):
            return view
    return newest


async def change_proof(view: JournalView, key: bytes, version: Version | None) -> ChangeProof:
    """The proof that a journal has a change. Shape: of its key's changes the one with this version; None: the
    newest.

    Raises: SettingsError where there is none, naming the versions that there are; where the journal is not
            what its manifest says; Unavailable.
    """
    changes = [change for change in await view.history(key) if change.origin != SCAN]
    chosen = [change for change in changes if version is None or change.version == version]
    if not chosen:
        raise SettingsError(_absent(changes, version), hint="tailrace history TABLE/KEY --app APP")
    change, head = chosen[-1], await head_of_view(view)
    leaves: list[bytes] = []
    index = 0
    async for other in view.changes(Selection(shard=change.shard), order="version"):
        if other.version.generation != change.version.generation or other.origin == SCAN:
            continue
        if other.version == change.version:
            index = len(leaves)
        leaves.append(other.leaf)
    return proof_of(head, _tree(head, change, len(leaves)), change, leaves, index)


def _tree(head: TreeHead, change: JournalChange, size: int) -> ShardTree:
    for tree in head.shards:
        if tree.shard == change.shard and tree.size == size:
            return tree
    raise SettingsError(
        f"shard {change.shard} has {size:,} changes, and no tree of the manifest has so many",
        hint="tailrace journal verify PLACE --table TABLE",
    )


def _absent(changes: list[JournalChange], version: Version | None) -> str:
    if not changes:
        return "the journal has no change of that key; the partition key's value comes first in it"
    wanted = "" if version is None else f" {version.text.lstrip('0')}"
    there = ", ".join(change.version.text for change in changes[-3:])
    return f"the journal has no change of that key with version{wanted}; its last ones are {there}"
