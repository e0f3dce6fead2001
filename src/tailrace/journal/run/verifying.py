"""Whether a journal is what was written: offline, from its files alone.

Theory of operation: four looks. The manifest: its deltas follow each other without a hole, and each whole
manifest is what the one before it and the deltas between come to. The segments: each that is named is there
with its size, has the keys, versions and times that the manifest says, by which readers choose it, and each
row has the leaf that its fields make. The shards: their leaves, in the order of their
sequence numbers, make the tree that the manifest says; so a row that was removed, put in, altered or swapped
is seen, also where whoever did it made the leaf anew. The items: each change's old image is the state that
the one before it left. Against a head that was saved elsewhere, a shard's first leaves still make the root
that they made then: only this detects a history of which everything was rewritten, the manifest too.
Rules of this file: nothing is written, nothing is repaired. What differs is told, and the look goes on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.errors import ArchiveError, InternalError, SettingsError, Unavailable
from tailrace.journal.core.chains import ItemChain, MissingChanges
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.heads import ShardTree, TreeHead, differences, head_of
from tailrace.journal.core.merkle import Frontier
from tailrace.journal.core.places import MANIFEST, incarnation_folder
from tailrace.journal.core.records import PART_BASE, SCAN, Selection
from tailrace.journal.run.reading import JournalReader, JournalView
from tailrace.manifests.core.manifest import CommittedPosition, TableFile, place_parts
from tailrace.manifests.core.names import digest
from tailrace.manifests.run.checking import chain_faults
from tailrace.manifests.run.target import outages
from tailrace.ports import ArchiveStore
from tailrace.runtime.threads import in_thread

NOTHING: Final = "nothing of it is there: it was deleted or not copied, or its worker has not begun"
MOST_FAULTS: Final = 1_000
"""So many are told one by one; of more, how many."""
TREE_BATCH: Final = 5_000
Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is looked at, how much of it is done, and how much there is."""


class JournalFault(Struct, frozen=True):
    """Something that is not what was written. Shape: `place` is a file, a shard or an item."""

    place: str
    reason: str


class VerifiedJournal(Struct, frozen=True):
    """What a verification comes to. Shape: `base` is how many items the base has; `untold` is how many faults
    are not among `faults`; `head` is the journal's head.
    """

    changes: int
    base: int
    segments: int
    shards: int
    faults: tuple[JournalFault, ...]
    untold: int
    head: TreeHead

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.faults


class _Told:
    """Faults, up to a bound."""

    def __init__(self) -> None:
        self.faults: list[JournalFault] = []
        self.untold = 0

    def tell(self, place: str, reason: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(JournalFault(place, reason))
        else:
            self.untold += 1


async def head_of_view(view: JournalView) -> TreeHead:
    """The head of a journal: by its manifest one tree a shard that has changes, and one of its base's rows in
    the order of their keys, under the name of no stream. Raises: Unavailable.
    """
    trees = [
        ShardTree(stream, shard, position.leaves, _frontier(position).root.hex())
        for (_, stream, shard), position in _positions(view)
        if position.leaves
    ]
    if view.base is not None:
        base = _Tree(set())
        async for row in view.changes(Selection(shard=PART_BASE)):
            base.add(row.leaf)
        trees.append(ShardTree("", PART_BASE, base.whole().size, base.frontier.root.hex()))
    return head_of(view.folder, view.manifest.number, trees)


async def verified(
    archive: ArchiveStore,
    reader: JournalReader,
    incarnation: str,
    saved: TreeHead | None = None,
    progress: Progress = lambda what, done, whole: None,
) -> VerifiedJournal:
    """Look at all of one incarnation's journal.

    Raises: Unavailable when the archive does not answer.
    """
    told = _Told()
    folder = incarnation_folder(reader.table, incarnation)
    with outages():
        for place, reason in await chain_faults(archive, f"{folder}/{MANIFEST}"):
            told.tell(place, reason)
    try:
        view = await reader.view_of(incarnation)
    except (SettingsError, InternalError, Unavailable) as error:
        if isinstance(error, Unavailable) and not told.faults:
            raise  # the archive is away
        told.tell(folder, f"nothing else was looked at: {error.args[0]}")
        return VerifiedJournal(0, 0, 0, 0, tuple(told.faults), told.untold, head_of(folder, 0, []))
    if not view.manifest.number and incarnation == (await reader.known_streams())[-1].incarnation:
        # An older one may have been deleted as a whole, as docs/journal.md says; its head tells.
        told.tell(folder, NOTHING)
    files = list(view.manifest.files.values())
    rows, is_whole = 0, True
    for number, file in enumerate(files, 1):
        reasons = await _segment(archive, file)
        for reason in reasons:
            told.tell(file.name, reason)
        rows += file.rows
        is_whole = is_whole and not any(reason.startswith(UNREADABLE) for reason in reasons)
        progress("segments", number, len(files))
    head = head_of(folder, view.manifest.number, [])
    try:
        if is_whole:
            head = await head_of_view(view)
            await _rows(view, (saved, head), told, rows, progress)
    except Unavailable:
        if not told.faults:
            raise
        is_whole = False  # what is damaged so that pyarrow reads it, and DuckDB does not
    if not is_whole:
        told.tell(folder, "shards and items were not compared: a segment cannot be read")
    base = sum(file.rows for file in files if file.part.startswith(PART_BASE))
    shards = len(view.manifest.positions)
    return VerifiedJournal(rows - base, base, len(files), shards, tuple(told.faults), told.untold, head)


# ---- segments ----------------------------------------------------------------------------------------------

UNREADABLE: Final = "it cannot be read: "


async def _segment(archive: ArchiveStore, file: TableFile) -> list[str]:
    """What is wrong with one segment by itself."""
    with outages():
        blob = await archive.get(file.name)
    if blob is None:
        return [f"{UNREADABLE}it is not there, and the manifest names it"]
    return await in_thread(_segment_faults, file, blob.data)


def _segment_faults(file: TableFile, data: bytes) -> list[str]:
    from tailrace.journal.run.segments import segment_rows

    if len(data) != file.size:
        return [f"{UNREADABLE}it has {len(data):,} bytes, the manifest says {file.size:,}"]
    try:
        rows = segment_rows(file.name, data)
        faults = [] if digest(data) in file.name else ["its bytes are not those that it was named for"]
        return [*faults, *_said_faults(file, rows), *_row_faults(rows)]
    except ArchiveError as error:
        return [f"{UNREADABLE}{error.args[0]}"]
    except (ValueError, LookupError, TypeError, OverflowError) as error:  # a column of another name or kind
        return [f"{UNREADABLE}it is damaged: {type(error).__name__}: {error}"]


def _said_faults(file: TableFile, rows: Any) -> Iterator[str]:
    """Where the manifest says otherwise of a segment than its rows do: readers choose it by that, and would
    pass over changes that it has.
    """
    from tailrace.journal.run.segments import described

    if rows.num_rows != file.rows:
        yield f"it has {rows.num_rows:,} rows, the manifest says {file.rows:,}"
    if not rows.num_rows:
        return
    has = described(rows)
    for what, said, there in (
        ("its first key is", file.first, has.first),
        ("its last key is", file.last, has.last),
        ("its first version is", file.first_version, has.first_version),
        ("its last version is", file.last_version, has.last_version),
        ("it begins, in microseconds, at", file.from_us, has.from_us),
        ("it ends, in microseconds, at", file.until_us, has.until_us),
    ):
        if said and said != there:
            yield f"{what} {there}, the manifest says {said}"


def _row_faults(rows: Any) -> Iterator[str]:
    """Where rows are not what their leaves were made of, or not in their order."""
    from tailrace.journal.run.segments import row_change

    before = None
    for row in rows.to_pylist():
        change = row_change(row)
        if change.leaf != row["leaf"]:
            yield f"{_named(change)} is not the change that its leaf was made of"
        place = (change.key, change.version)
        if before is not None and place <= before:
            yield f"{_named(change)} is not in the order of keys and versions"
        before = place


def _named(change: JournalChange) -> str:
    return f"{change.event} {change.version.text.lstrip('0')} of key {change.key!r}"


# ---- shards and items --------------------------------------------------------------------------------------


async def _rows(
    view: JournalView, heads: tuple[TreeHead | None, TreeHead], told: _Told, rows: int, progress: Progress
) -> None:
    saved, head = heads
    trees = _Trees(view, saved, head)
    done = 0
    async for change in view.changes(order="version"):
        trees.add(change)
        done += 1
        if done % TREE_BATCH == 0:
            progress("shards", done, rows)
    for place, reason in trees.faults():
        told.tell(place, reason)
    if saved is not None:
        for difference in differences(saved, head, trees.root_at):
            place = f"{difference.stream}/{difference.shard}".strip("/") or view.folder
            told.tell(place, difference.reason)
    chain, done = ItemChain(trees.missing), 0
    async for change in view.changes():
        if reason := chain.break_of(change):
            told.tell(_named(change), reason)
        done += 1
        if done % TREE_BATCH == 0:
            progress("items", done, rows)


class _Tree:
    """The tree of one shard as its rows make it, and its roots at sizes that are asked for."""

    def __init__(self, sizes: set[int]) -> None:
        self.frontier = Frontier()
        self.roots: dict[int, str] = {}
        self._sizes = sizes
        self._leaves: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        self._leaves.append(leaf)
        size = self.frontier.size + len(self._leaves)
        if size in self._sizes:
            self.roots[size] = self.whole().root.hex()
        elif len(self._leaves) == TREE_BATCH:
            self.whole()

    def whole(self) -> Frontier:
        self.frontier = self.frontier.extended(self._leaves)
        self._leaves.clear()
        return self.frontier


class _Trees:
    """The trees of all shards. Rows say the generation of a stream, and positions its label: of the streams
    that had a shard of a name, both rise together.
    """

    def __init__(self, view: JournalView, saved: TreeHead | None, head: TreeHead) -> None:
        self._base = [tree for tree in head.shards if not tree.stream]
        self._sizes = set() if saved is None else {tree.size for tree in saved.shards}
        self._trees: dict[str, dict[int, _Tree]] = defaultdict(dict)
        self._positions: dict[str, dict[str, CommittedPosition]] = defaultdict(dict)
        for (_, stream, shard), position in sorted(_positions(view)):
            self._positions[shard][stream] = position

    def add(self, change: JournalChange) -> None:
        """Put a change into its shard's tree; what a base has is in none."""
        if change.origin == SCAN:
            return
        trees = self._trees[change.shard]
        generation = change.version.generation
        if generation not in trees:
            trees[generation] = _Tree(self._sizes)
        trees[generation].add(change.leaf)

    def faults(self) -> Iterator[tuple[str, str]]:
        """What differs between rows and manifest."""
        for shard in sorted({*self._trees, *self._positions}):
            with_rows = {stream: there for stream, there in self._positions[shard].items() if there.leaves}
            if len(with_rows) != len(self._trees[shard]):
                there_are, said = len(self._trees[shard]), len(with_rows)
                yield shard, f"{there_are} of its streams have changes, the manifest says {said}"
                continue
            for (stream, there), tree in zip(with_rows.items(), self._in_order(shard), strict=True):
                size, root = tree.whole().size, tree.frontier.root
                if size != there.leaves:
                    yield f"{stream}/{shard}", f"{size:,} changes, the manifest says {there.leaves:,}"
                elif root != _frontier(there).root:
                    reason = "one of its changes is not what it was, or not where it was: the tree differs"
                    yield f"{stream}/{shard}", reason

    def root_at(self, tree: ShardTree) -> str | None:
        """The root of a shard's first changes, or of the base; None: there are fewer."""
        if not tree.stream:
            return next((base.root for base in self._base if base.size >= tree.size), None)
        streams = [stream for stream, there in self._positions[tree.shard].items() if there.leaves]
        made = dict(zip(streams, self._in_order(tree.shard), strict=False)).get(tree.stream)
        return None if made is None else made.roots.get(tree.size)

    @property
    def missing(self) -> list[MissingChanges]:
        """What the gaps of all shards may have held."""
        return [
            MissingChanges(generation, first, last)
            for shard, positions in self._positions.items()
            for there in positions.values()
            for first, last in there.gaps
            for generation in self._trees[shard] or (1,)
        ]

    def _in_order(self, shard: str) -> list[_Tree]:
        return [tree for _, tree in sorted(self._trees[shard].items())]


def _positions(view: JournalView) -> list[tuple[tuple[str, str, str], CommittedPosition]]:
    return [(place_parts(place), position) for place, position in view.manifest.positions.items()]


def _frontier(position: CommittedPosition) -> Frontier:
    return Frontier(position.leaves, tuple(bytes.fromhex(root) for root in position.frontier))
