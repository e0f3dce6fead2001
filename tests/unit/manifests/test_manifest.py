"""What a manifest is after its deltas: which parts count, and which are void for every reader.

Rules of this file: each fact at its bound and one past it.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.errors import InternalError, SettingsError
from tailrace.manifests.core.manifest import (
    EMPTY,
    KEEP_MS,
    CommittedPosition,
    DeltaPart,
    ManifestDelta,
    TableFile,
    TableManifest,
    deletable,
    folded,
    place_name,
    place_parts,
    read_kept,
    unnamed,
    void_reason,
    with_part,
    write_kept,
)

SHARD = place_name("orders", "2026-01-01", "shard-1")
HERE = TableManifest(
    number=7,
    positions={SHARD: CommittedPosition(3, 100)},
    files={"a": TableFile("a", "data", 1, 10), "b": TableFile("b", "data", 1, 10)},
    retired={"old": 5},
    notes={"settings": "{}"},
)


def new(name: str) -> TableFile:
    return TableFile(name, "data", 1, 10)


def step(epoch: int, after: int, through: int, *names: str, **more: Any) -> DeltaPart:
    return DeltaPart(SHARD, epoch, after, through, added=tuple(map(new, names)), **more)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (step(3, 100, 101, "c"), ""),
        (step(3, 100, 101), ""),
        (step(2, 100, 101, "c"), "epoch 2 is not that of the shard, 3"),
        (step(4, 100, 101, "c"), "epoch 4 is not that of the shard, 3"),
        (step(3, 99, 101, "c"), "it goes from 99 to 101, and the shard is at 100"),
        (step(3, 101, 102, "c"), "it goes from 101 to 102, and the shard is at 100"),
        (step(3, 100, 99), "it goes from 100 to 99, and the shard is at 100"),
        (step(3, 100, 99, is_put=True), ""),
        (step(4, 100, 99, is_put=True), "epoch 4 is not that of the shard, 3"),
        (step(3, 100, 99, "c", is_put=True), "a step without changes has files"),
        (step(4, 100, 100), ""),
        (step(3, 100, 100), ""),
        (step(2, 100, 100), "epoch 2 is not that of the shard, 3"),
        (step(4, 100, 100, "c"), "a step without changes has files"),
        (step(4, 0, 0), "it goes from 0 to 0, and the shard is at 100"),
        (step(3, 100, 101, "a"), "a is taken"),
        (step(3, 100, 101, "old"), "old is taken"),
        (step(3, 100, 101, "c", "c"), "a name is added twice"),
        (DeltaPart(removed=("a",), added=(new("c"),)), ""),
        (DeltaPart(removed=("c",)), "c is not there to be removed"),
        (DeltaPart(removed=("old",)), "old is not there to be removed"),
        (DeltaPart(retired=("c",)), ""),
        (DeltaPart(retired=("a",)), "a is in use"),
    ],
)
def test_a_part_counts_or_is_void(part: DeltaPart, words: str) -> None:
    assert void_reason(HERE, part) == words
    after = folded(HERE, ManifestDelta(8, 9, (part,)))
    assert (replace(after, number=7, at_ms=0) == HERE) == (bool(words) or part == step(3, 100, 100))


def test_a_shard_that_was_never_taken_begins_with_a_stamp() -> None:
    first = DeltaPart(SHARD, 3, 0, 7, added=(new("a"),))
    assert void_reason(EMPTY, first) == "the shard was never taken"
    taken = with_part(EMPTY, DeltaPart(SHARD, 3), 1)
    assert taken.positions == {SHARD: CommittedPosition(3, 0)}
    assert with_part(taken, first, 1).positions == {SHARD: CommittedPosition(3, 7)}


def test_one_void_part_takes_no_other_with_it() -> None:
    parts = (step(2, 100, 200, "late"), DeltaPart(notes={"sources": "1"}), step(3, 100, 101, "c"))
    after = folded(HERE, ManifestDelta(8, 9, parts))
    assert set(after.files) == {"a", "b", "c"}
    assert after.notes == {"settings": "{}", "sources": "1"}
    assert after.positions[SHARD] == CommittedPosition(3, 101)


def test_the_next_part_is_judged_by_what_the_one_before_it_did() -> None:
    parts = (step(3, 100, 101, "c"), step(3, 101, 102, "d"), step(3, 101, 103, "e"))
    assert set(folded(HERE, ManifestDelta(8, 9, parts)).files) == {"a", "b", "c", "d"}


def test_what_is_removed_is_retired_until_it_is_forgotten() -> None:
    after = with_part(HERE, DeltaPart(removed=("a",)), 70)
    assert (dict(after.files), after.retired) == ({"b": new("b")}, {"old": 5, "a": 70})
    assert void_reason(after, step(3, 100, 101, "a")) == "a is taken"
    free = with_part(after, DeltaPart(forgotten=("a", "old")), 71)
    assert free.retired == {}
    assert void_reason(free, step(3, 100, 101, "a")) == ""


def test_retired_files_are_deleted_after_an_hour() -> None:
    assert deletable(HERE, 5 + KEEP_MS - 1) == ()
    assert deletable(HERE, 5 + KEEP_MS) == ("old",)


def test_a_file_that_no_delta_has_named_is_told() -> None:
    assert unnamed(HERE, ["a", "x", "old", "y"]) == ("x", "y")


def test_a_number_is_missed() -> None:
    with pytest.raises(InternalError, match="delta 9 does not follow manifest 7"):
        folded(HERE, ManifestDelta(9, 0, ()))


@given(st.text(), st.text(), st.text())
def test_a_place_comes_apart_again(mapping: str, stream: str, shard: str) -> None:
    assert place_parts(place_name(mapping, stream, shard)) == (mapping, stream, shard)


def test_what_is_kept_comes_back_with_numbers_of_56_digits() -> None:
    delta = ManifestDelta(
        8, 9, (step(3, 10**55, 10**56 - 1, "c"), DeltaPart(removed=("a",), notes={"n": "1"}))
    )
    assert read_kept("delta", write_kept(delta), ManifestDelta) == delta
    manifest = folded(HERE, ManifestDelta(8, 9, ()))
    assert read_kept("full", write_kept(manifest), TableManifest) == manifest


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"format":2,"value":{}}', "delta 8 has format 2, and this version of tailrace reads format 1"),
        (b"", "delta 8 is no ManifestDelta"),
        (b'{"format":1,"value":{"number":"x"}}', "delta 8 is no ManifestDelta"),
        (b"PAR1", "it begins b'PAR1'"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_kept("delta 8", data, ManifestDelta)
    assert words in str(caught.value)
