"""What a shard descends from, as far as it is still known."""

import pytest

from tailrace.leases.lineage import (
    KnownShards,
    Line,
    NamedAncestors,
    latest,
    line_of,
    named_ancestors,
    readers,
    waits_for,
)
from tailrace.streams.shards import Shard

ROOT = Shard("root", 1, (), 9)
LOW, HIGH = Shard("low", 10, ("root",), 19), Shard("high", 10, ("root",), 19)
MERGED = Shard("merged", 20, ("low", "high"))
ALL = [ROOT, LOW, HIGH, MERGED]


def test_the_line_of_what_is_listed_needs_no_rows() -> None:
    assert line_of(MERGED, KnownShards.of(ALL), {}) == Line(frozenset({"root", "low", "high"}), is_lost=False)
    assert line_of(LOW, KnownShards.of(ALL), {}) == Line(frozenset({"root"}), is_lost=False)
    assert line_of(ROOT, KnownShards.of(ALL), {}) == Line(frozenset(), is_lost=False)


def test_where_the_listing_ends_the_rows_go_on() -> None:
    assert line_of(
        MERGED,
        KnownShards.of([MERGED]),
        {"low": NamedAncestors(("root",), ("root",)), "high": NamedAncestors(("root",))},
    ) == Line(frozenset({"root", "low", "high"}), is_lost=False)


@pytest.mark.parametrize(
    "rows", [{}, {"low": NamedAncestors(("root",))}, {"low": NamedAncestors(), "high": None}]
)
def test_a_parent_of_which_nothing_is_known_loses_the_line(rows: dict[str, NamedAncestors | None]) -> None:
    assert line_of(MERGED, KnownShards.of([MERGED]), rows).is_lost


def test_a_lost_line_may_have_every_shard_but_those_that_are_still_listed() -> None:
    known = KnownShards.of([MERGED, Shard("other", 15)], saved=[Shard("kept", 2)])
    line = line_of(MERGED, known, {"low": NamedAncestors()})
    assert named_ancestors(line, known, ["root", "other", "kept", "low"]) == ("kept", "low", "root")


def test_a_whole_line_names_only_its_own_that_still_have_parked_keys() -> None:
    known = KnownShards.of(ALL)
    assert named_ancestors(line_of(LOW, known, {}), known, ["root", "high"]) == ("root",)
    assert named_ancestors(line_of(LOW, known, {}), known, ["high"]) == ()


def test_a_shard_waits_for_its_parents_that_can_still_be_read() -> None:
    for known, waiting in (
        (KnownShards.of(ALL), {"low", "high"}),
        (KnownShards.of([HIGH, MERGED]), {"high"}),
    ):
        assert waits_for(MERGED, line_of(MERGED, known, {"low": NamedAncestors()}), known) == waiting


def test_a_shard_whose_lineage_is_lost_waits_for_everything_that_was_saved() -> None:
    known = KnownShards.of([MERGED], saved=[ROOT])
    lost = line_of(MERGED, known, {"low": NamedAncestors()})
    assert waits_for(MERGED, lost, known) == {"root"}, "it may be the parent of what came and went"
    whole = line_of(MERGED, known, {"low": NamedAncestors(("root",)), "high": NamedAncestors(("root",))})
    assert waits_for(MERGED, whole, known) == set()


@pytest.mark.parametrize(
    ("stream", "shard_id", "concerns"),
    [("now", "s", True), ("now", "a", True), ("now", "b", False), ("before", "b", True), ("", "", True)],
)
def test_a_parked_key_concerns_its_shard_its_descendants_and_all_of_later_streams(
    stream: str, shard_id: str, concerns: bool
) -> None:
    shard = Shard("s", 9, ("a",), stream="now")
    assert NamedAncestors(("a",), ("a",)).concerns(shard, stream, shard_id) is concerns


def test_the_latest_of_some_shards_are_those_that_none_of_them_continues() -> None:
    assert latest(["root", "low", "high"], {}, KnownShards.of(ALL)) == {"low", "high"}
    assert latest(["root", "low"], {"low": NamedAncestors(("root",))}, KnownShards.of([])) == {"low"}


EARLIER = [Shard("root", 1, (), 9, (0, 9), stream="before")]
NOW = [
    Shard("root", 1, (), 9, (0, 9), stream="now"),
    Shard("low", 10, ("root",), None, (0, 4), stream="now"),
    Shard("high", 10, ("root",), None, (5, 9), stream="now"),
    Shard("higher", 20, ("high",), None, (5, 9), stream="now"),
]
BEFORE_ROOT, ROOT_NOW, LOW_NOW, HIGH_NOW = (
    ("before", "root"),
    ("now", "root"),
    ("now", "low"),
    ("now", "high"),
)


@pytest.mark.parametrize(
    ("shard_id", "partition", "finished", "read_in"),
    [
        ("root", 7, [], {BEFORE_ROOT}),
        ("root", 7, [BEFORE_ROOT], {ROOT_NOW}),
        ("root", 7, [BEFORE_ROOT, ROOT_NOW], {HIGH_NOW}),
        ("high", 7, [BEFORE_ROOT, ROOT_NOW], {HIGH_NOW}),
        ("root", 7, [BEFORE_ROOT, ROOT_NOW, HIGH_NOW], {("now", "higher")}),
        ("trimmed", 2, [BEFORE_ROOT, ROOT_NOW], {LOW_NOW}),
        ("low", 2, [BEFORE_ROOT, ROOT_NOW, LOW_NOW], set()),
        ("trimmed", 7, [], {BEFORE_ROOT}),
    ],
)
def test_an_item_is_read_in_its_shard_until_that_is_finished_then_in_what_first_continues_it(
    shard_id: str, partition: int, finished: list[tuple[str, str]], read_in: set[tuple[str, str]]
) -> None:
    assert readers([EARLIER, NOW], finished, shard_id, partition) == read_in


def test_without_hashes_an_item_may_be_read_in_every_shard_that_continues_its_own() -> None:
    shards = [ROOT, LOW, HIGH, MERGED, Shard("other", 1)]
    assert readers([shards], {("", "root")}, "root", 0) == {("", "low"), ("", "high")}
    assert readers([shards], {("", "root"), ("", "low")}, "low", 0) == {("", "merged")}
    assert readers([shards], set(), "trimmed", 0) == {("", "root"), ("", "other")}
