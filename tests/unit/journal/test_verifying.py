"""Verification of a journal: whatever is done to its files is named, and a whole rewriting only by a head.

Rules of this file: each test damages a copy of one journal, as somebody with the files could.
"""

import asyncio
import io
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError, Unavailable
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.heads import TreeHead
from tailrace.journal.core.merkle import Frontier
from tailrace.journal.core.places import journaled_table
from tailrace.journal.run.reading import JournalReader
from tailrace.journal.run.segments import described, row_change
from tailrace.journal.run.verifying import VerifiedJournal, head_of_view, verified
from tailrace.manifests.core.names import digest
from tailrace.testing import World
from tests.unit.journal.test_journals import archive_of, archived, written

Row = dict[str, Any]


@pytest.fixture(scope="module")
def whole() -> MemoryArchive:
    """A journal with several segments, updates, deletions and a split."""
    app, orders = archived()
    with World(app) as world:
        for turn in range(6):
            written(world, orders, 20, first=20 * turn)
            world.delete(orders, {"id": f"o{turn}"})
            world.settle()
            if turn == 3:
                world.split("orders")
        world.settle()
        return archive_of(world).copy()


def looked_at(archive: MemoryArchive, saved: TreeHead | None = None) -> VerifiedJournal:
    async def run() -> VerifiedJournal:
        table = journaled_table("orders", "us-east-1")
        async with JournalReader(archive, table, ManualClock()) as reader:
            (stream,) = await reader.streams()
            return await verified(archive, reader, stream.incarnation, saved)

    return asyncio.run(run())


def head(archive: MemoryArchive) -> TreeHead:
    async def run() -> TreeHead:
        table = journaled_table("orders", "us-east-1")
        async with JournalReader(archive, table, ManualClock()) as reader:
            return await head_of_view(await reader.view())

    return asyncio.run(run())


def segments(archive: MemoryArchive) -> list[str]:
    """Those of changes."""
    return sorted(
        name for name in archive._blobs if name.endswith(".parquet") and "/segments/base-" not in name
    )


def base_of(archive: MemoryArchive) -> str:
    (name,) = (name for name in archive._blobs if "/segments/base-" in name)
    return name


def deltas(archive: MemoryArchive) -> list[str]:
    """Those of the table's own manifest, not of its name's."""
    return sorted(name for name in archive._blobs if "/delta/" in name and "/_tables/" not in name)


def told(result: VerifiedJournal) -> str:
    return "\n".join(f"{fault.place}: {fault.reason}" for fault in result.faults)


def put_kept(archive: MemoryArchive, name: str, kept: Any) -> None:
    """Write a manifest's file with the hash that it should have, as whoever knows the format can."""
    value = msgspec.json.encode(kept["value"])
    archive._blobs[name] = msgspec.json.encode(kept | {"sha256": digest(value)})


def rewritten(
    archive: MemoryArchive, name: str, edit: Callable[[list[Row]], list[Row]], *, leaves: bool
) -> None:
    """Put other rows into a segment, and let the manifest's size, rows and bounds agree with it; with leaves,
    each row has the leaf that it should have.
    """
    old = archive._blobs[name]
    table = pq.read_table(io.BytesIO(old))
    rows = edit(table.to_pylist())
    if leaves:
        rows = [row | {"leaf": row_change(row).leaf} for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
    del archive._blobs[name]
    renamed = name.replace(digest(old), digest(sink.getvalue()))
    archive._blobs[renamed] = sink.getvalue()
    for delta in deltas(archive):
        data = archive._blobs[delta]
        if name.encode() in data:
            kept = msgspec.json.decode(data)
            for part in kept["value"]["parts"]:
                for file in part.get("added", []):
                    if file["name"] == name:
                        file |= {"name": renamed, "size": len(sink.getvalue()), "rows": len(rows)}
                        made = described(pa.Table.from_pylist(rows, schema=table.schema))
                        file |= msgspec.to_builtins(made)
            put_kept(archive, delta, kept)


def test_what_was_written_holds_and_has_a_head(whole: MemoryArchive) -> None:
    result = looked_at(whole, head(whole))
    assert result.faults == ()
    assert result.holds
    assert result.segments == len(segments(whole)) + 1
    base, *shards = result.head.shards
    assert (base.stream, base.shard) == ("", "base")
    assert (result.changes, result.base) == (126, base.size)
    assert sum(tree.size for tree in shards) == 126
    assert len(shards) >= 3


@pytest.mark.parametrize("place", [0.1, 0.4, 0.6, 0.95])
def test_a_flipped_byte_of_a_segment_is_named(whole: MemoryArchive, place: float) -> None:
    archive, name = whole.copy(), segments(whole)[1]
    data = bytearray(archive._blobs[name])
    data[int(len(data) * place)] ^= 1
    archive._blobs[name] = bytes(data)
    assert name in told(looked_at(archive))


@pytest.mark.parametrize("of", ["segment", "base", "delta", "of the name"])
def test_any_flipped_bit_of_any_file_is_named_whatever_it_makes_of_it(whole: MemoryArchive, of: str) -> None:
    """Names of columns, numbers that still are numbers, the ends of a Parquet file among them."""
    names = next(name for name in whole._blobs if "/_tables/" in name)
    name = {
        "segment": segments(whole)[1],
        "base": base_of(whole),
        "delta": next(name for name in deltas(whole) if b".parquet" in whole._blobs[name]),
        "of the name": names,
    }[of]
    size = len(whole._blobs[name])
    for place in range(0, size, max(1, size // 40)):
        archive, data = whole.copy(), bytearray(whole._blobs[name])
        data[place] ^= 1
        archive._blobs[name] = bytes(data)
        if of == "of the name":
            with pytest.raises((SettingsError, Unavailable), match=re.escape(name)):
                looked_at(archive)
        else:
            assert name in told(looked_at(archive)), place


@pytest.mark.parametrize(
    ("field", "lie", "words"),
    [
        ("first", lambda said: f"{said}00", "its first key is"),
        ("last", lambda said: said[:-2], "its last key is"),
        ("first_version", lambda said: f"{said[:-1]}f", "its first version is"),
        ("last_version", lambda said: "f" * len(said), "its last version is"),
        ("from_us", lambda said: said + 1, "it begins"),
        ("until_us", lambda said: said - 1, "it ends"),
    ],
)
def test_a_manifest_that_hides_a_segment_from_questions_is_named(
    whole: MemoryArchive, field: str, lie: Callable[[Any], Any], words: str
) -> None:
    archive = whole.copy()
    delta = next(name for name in deltas(archive) if segments(whole)[0].encode() in archive._blobs[name])
    kept = msgspec.json.decode(archive._blobs[delta])
    (file,) = (file for part in kept["value"]["parts"] for file in part.get("added", []))
    file[field] = lie(file[field])
    put_kept(archive, delta, kept)
    assert f"{segments(whole)[0]}: {words}" in told(looked_at(archive, head(whole)))


def test_a_segment_without_a_column_is_named(whole: MemoryArchive) -> None:
    archive, name = whole.copy(), segments(whole)[0]
    table = pq.read_table(io.BytesIO(archive._blobs[name])).drop_columns(["ancestry"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    archive._blobs[name] = sink.getvalue()
    for delta in deltas(archive):
        kept = msgspec.json.decode(archive._blobs[delta])
        for part in kept["value"]["parts"]:
            for file in part.get("added", []):
                if file["name"] == name:
                    file["size"] = len(sink.getvalue())
        put_kept(archive, delta, kept)
    assert f"{name}: it cannot be read: it is damaged: KeyError: 'ancestry'" in told(looked_at(archive))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("/_manifest/", "no manifest can be read there, and files are of one"),
        ("", "nothing of it is there: it was deleted or not copied"),
    ],
)
def test_a_journal_that_was_half_copied_is_no_empty_one(whole: MemoryArchive, gone: str, words: str) -> None:
    archive = whole.copy()
    folder = deltas(archive)[0].partition("/_manifest/")[0]
    for name in [name for name in archive._blobs if name.startswith(folder) and gone in name]:
        del archive._blobs[name]
    if gone:
        with pytest.raises(Unavailable, match=words):
            looked_at(archive)
    else:
        assert f"{folder}: {words}" in told(looked_at(archive))


def test_files_of_others_beside_those_of_a_manifest_are_passed_over(whole: MemoryArchive) -> None:
    archive = whole.copy()
    folder = deltas(archive)[0].rpartition("/")[0]
    for foreign in ("notes.txt", "00000000000000000001.json~", "copy of 1.json", "1.json"):
        archive._blobs[f"{folder}/{foreign}"] = b"?"
    assert looked_at(archive).holds


def test_a_segment_that_is_gone_or_cut_off_is_named(whole: MemoryArchive) -> None:
    archive, (first, second, *_) = whole.copy(), segments(whole)
    del archive._blobs[first]
    archive._blobs[second] = archive._blobs[second][:-1]
    words = told(looked_at(archive))
    assert f"{first}: it cannot be read: it is not there" in words
    assert f"{second}: it cannot be read: it has" in words


def test_a_delta_that_is_gone_is_named_with_a_later_one_there(whole: MemoryArchive) -> None:
    archive, names = whole.copy(), deltas(whole)
    del archive._blobs[names[len(names) // 2]]
    assert f"{names[len(names) // 2]}: it is not there, and later ones are" in told(looked_at(archive))


def test_a_delta_whose_bytes_are_none_or_of_another_number_is_named(whole: MemoryArchive) -> None:
    archive, names = whole.copy(), deltas(whole)
    archive._blobs[names[-1]] = archive._blobs[names[-2]]
    assert f"{names[-1]}: it says that its number is" in told(looked_at(archive))
    archive._blobs[names[-1]] = b"{"
    assert f"{names[-1]} is no ManifestDelta" in told(looked_at(archive))


def test_a_removed_row_is_seen(whole: MemoryArchive) -> None:
    archive, name = whole.copy(), segments(whole)[0]
    rewritten(archive, name, lambda rows: rows[:1] + rows[2:], leaves=True)
    words = told(looked_at(archive))
    assert "changes, the manifest says" in words
    assert "its old image is not what the change before it left" in words


def altered(rows: list[Row]) -> list[Row]:
    return [rows[0] | {"new": b'{"id":{"S":"o0"},"n":{"N":"1000000"}}'}, *rows[1:]]


def test_an_altered_row_is_named_by_its_leaf(whole: MemoryArchive) -> None:
    archive, name = whole.copy(), segments(whole)[0]
    rewritten(archive, name, altered, leaves=False)
    assert "is not the change that its leaf was made of" in told(looked_at(archive))


def test_an_altered_row_with_a_new_leaf_is_seen_by_the_tree_of_its_shard(whole: MemoryArchive) -> None:
    archive, name = whole.copy(), segments(whole)[0]
    rewritten(archive, name, altered, leaves=True)
    words = told(looked_at(archive))
    assert "the tree differs" in words
    assert "leaf was made of" not in words


def test_two_changes_that_were_swapped_are_seen_by_the_tree(whole: MemoryArchive) -> None:
    def swap(rows: list[Row]) -> list[Row]:
        keys = [row["key"] for row in rows]
        first = next(place for place in range(len(rows) - 1) if keys[place] == keys[place + 1])
        one, two = rows[first], rows[first + 1]
        kept = ("key", "generation", "sequence", "shard")
        swapped = [
            two | {name: one[name] for name in kept},
            one | {name: two[name] for name in kept},
        ]
        return rows[:first] + swapped + rows[first + 2 :]

    archive, name = whole.copy(), segments(whole)[0]
    rewritten(archive, name, swap, leaves=True)
    words = told(looked_at(archive))
    assert "the tree differs" in words
    assert "its old image is not what the change before it left" in words


def test_rows_in_another_order_are_named(whole: MemoryArchive) -> None:
    archive, name = whole.copy(), segments(whole)[0]
    rewritten(archive, name, lambda rows: rows[::-1], leaves=True)
    assert "is not in the order of keys and versions" in told(looked_at(archive))


def rewrite_history(archive: MemoryArchive) -> None:
    """Another value in the last change of an item that nothing follows, and every tree made anew: what nobody
    can see in the files alone.
    """
    rows = [
        row
        for name in segments(archive)
        for row in pq.read_table(io.BytesIO(archive._blobs[name])).to_pylist()
    ]
    newest: dict[bytes, JournalChange] = {}
    for row in sorted(rows, key=lambda row: (row["generation"], row["sequence"])):
        newest[row["key"]] = row_change(row)
    chosen = next(change for change in newest.values() if change.new is not None)

    def edit(rows: list[Row]) -> list[Row]:
        return [
            row | {"new": b'{"id":{"S":"x"},"n":{"N":"7"}}'} if row_change(row) == chosen else row
            for row in rows
        ]

    for name in segments(archive):
        rewritten(archive, name, edit, leaves=True)
    made: dict[str, Frontier] = {}
    for delta in deltas(archive):
        kept = msgspec.json.decode(archive._blobs[delta])
        for part in kept["value"]["parts"]:
            for file in part.get("added", []) if "place" in part else ():
                table = pq.read_table(io.BytesIO(archive._blobs[file["name"]])).to_pylist()
                ordered = sorted(table, key=lambda row: row["sequence"])
                grown = made.get(part["place"], Frontier()).extended(row["leaf"] for row in ordered)
                made[part["place"]] = grown
                part |= {"leaves": grown.size, "frontier": [root.hex() for root in grown.whole]}
        put_kept(archive, delta, kept)


def test_a_history_that_was_rewritten_as_a_whole_is_seen_with_a_saved_head_and_only_so(
    whole: MemoryArchive,
) -> None:
    archive, saved = whole.copy(), head(whole)
    rewrite_history(archive)
    assert looked_at(archive).holds
    words = told(looked_at(archive, saved))
    assert "is not what it was when the head was saved" in words


def test_a_journal_that_was_cut_back_is_seen_with_a_saved_head_and_only_so(whole: MemoryArchive) -> None:
    archive, saved = whole.copy(), head(whole)
    last = deltas(archive)[-1]
    while b".parquet" not in archive._blobs[last]:
        del archive._blobs[last]
        last = deltas(archive)[-1]
    del archive._blobs[last]
    assert looked_at(archive).holds
    words = told(looked_at(archive, saved))
    assert "fewer now" in words
    assert "when the head was saved there were" in words


def test_a_head_holds_while_the_journal_grows() -> None:
    app, orders = archived()
    with World(app) as world:
        written(world, orders, 30)
        world.settle()
        saved = head(archive_of(world))
        written(world, orders, 30, first=30)
        world.split("orders")
        written(world, orders, 30, first=60)
        world.settle()
        assert looked_at(archive_of(world), saved).holds


@pytest.mark.parametrize("edit", [altered, lambda rows: rows[1:]])
def test_a_base_that_was_altered_is_seen_with_a_saved_head_and_only_so(
    whole: MemoryArchive, edit: Callable[[list[Row]], list[Row]]
) -> None:
    archive, saved = whole.copy(), head(whole)
    rewritten(archive, base_of(archive), edit, leaves=True)
    assert looked_at(archive).holds
    assert "base: " in told(looked_at(archive, saved))
