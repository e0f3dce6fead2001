"""What is asked of a stream's shards, and what is believed: listings that contradict themselves are repaired.

Rules of this file: each repair has its listing; that none of them loses a shard, whatever the pages show, is
simulated below, beside readers that leave a repair out and lose one.
"""

import random
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tailrace.runtime.discovery import (
    FIRST_CHILD_MS,
    LISTING_MS,
    MISSED_LISTINGS,
    MOST_CHILD_MS,
    RELIST_MS,
    RELISTS,
    RETENTION_MS,
    AskFor,
    Discovery,
    ListAll,
    ListChildren,
    RestUntil,
    listing_interval_ms,
)
from tailrace.streams.shards import Shard

WALL_MS = 1_780_000_000_000
NEVER_MS = 1 << 60


def shard(shard_id: str, first: int, *parents: str, last: int | None = None, age_ms: int = 0) -> Shard:
    return Shard(shard_id, first, parents, last, stream="label", created_ms=WALL_MS - age_ms)


def ids(discovery: Discovery) -> list[str]:
    return [listed.shard_id for listed in discovery.shards(WALL_MS)]


ROOT, LEFT, RIGHT = shard("root", 10, last=19), shard("left", 20, "root"), shard("right", 21, "root")


def test_a_stream_is_listed_whole_first_and_then_once_a_minute() -> None:
    discovery = Discovery(confirm=False)
    assert discovery.next(5) == ListAll()
    discovery.listed([RIGHT, ROOT, LEFT], 5, WALL_MS)
    assert discovery.next(6) == RestUntil(5 + LISTING_MS)
    assert discovery.next(5 + LISTING_MS) == ListAll()
    assert ids(discovery) == ["root", "left", "right"]


@pytest.mark.parametrize(
    ("shards", "expected"), [(0, 60_000), (100, 60_000), (6_000, 60_000), (6_001, 61_000), (10_000, 100_000)]
)  # fmt: skip
def test_whole_listings_use_a_tenth_of_the_calls_at_most(shards: int, expected: int) -> None:
    assert listing_interval_ms(shards) == expected


def test_the_children_of_a_finished_shard_are_asked_for_and_no_listing() -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([replace(ROOT, last=None)], 0, WALL_MS)
    discovery.finished("root", 100)
    discovery.finished("root", 100)
    assert discovery.next(100) == ListChildren("root")
    discovery.children("root", [LEFT, RIGHT], 110)
    assert discovery.next(110) == RestUntil(LISTING_MS)
    assert ids(discovery) == ["root", "left", "right"]


def test_a_server_without_that_filter_is_listed_instead() -> None:
    discovery = Discovery(has_filter=False, confirm=False)
    discovery.listed([ROOT], 0, WALL_MS)
    discovery.finished("root", 100)
    assert discovery.next(100) == ListAll()
    discovery.listed([ROOT], 100, WALL_MS)
    assert discovery.next(100) == RestUntil(100 + FIRST_CHILD_MS)
    discovery.listed([ROOT, LEFT], 200, WALL_MS)
    assert discovery.next(200) == RestUntil(200 + LISTING_MS)


def test_children_that_are_not_there_yet_are_asked_for_again_and_again_while_the_stream_is_on() -> None:
    discovery, now_ms, pauses = Discovery(confirm=False), 0, []
    discovery.listed([ROOT], now_ms, WALL_MS)
    discovery.finished("root", now_ms)
    while len(pauses) < 20:
        match discovery.next(now_ms):
            case ListChildren("root"):
                discovery.children("root", [], now_ms)
            case ListAll():
                discovery.listed([ROOT], now_ms, WALL_MS)
            case RestUntil(until_ms):
                pauses.append(until_ms - now_ms)
                now_ms = until_ms
    assert pauses[0] == FIRST_CHILD_MS
    assert max(pauses) <= MOST_CHILD_MS
    discovery.listed([ROOT], now_ms, WALL_MS, is_on=False)
    assert discovery.next(now_ms) == RestUntil(now_ms + LISTING_MS)


def test_the_first_listing_is_made_twice_and_nothing_is_shown_before_it_is_settled() -> None:
    discovery = Discovery()
    assert not discovery.is_settled
    discovery.listed([LEFT], 0, WALL_MS)
    assert (discovery.is_settled, discovery.next(0)) == (False, RestUntil(RELIST_MS))
    discovery.listed([ROOT], RELIST_MS, WALL_MS)
    assert discovery.is_settled
    assert ids(discovery) == ["root", "left"]
    assert discovery.next(RELIST_MS) == RestUntil(RELIST_MS + LISTING_MS)
    discovery.listed([ROOT, LEFT, shard("child", 40, "unknown")], 70_000, WALL_MS)
    assert not discovery.is_settled
    discovery.listed([ROOT, LEFT, shard("unknown", 30), shard("child", 40, "unknown")], 71_000, WALL_MS)
    assert discovery.is_settled


def test_an_open_shard_with_a_child_is_closed() -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([replace(ROOT, last=None), LEFT, RIGHT], 0, WALL_MS)
    assert [listed.last for listed in discovery.shards(WALL_MS)] == [19, None, None]


def test_a_shard_that_was_closed_is_not_opened_by_an_older_page() -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([ROOT], 0, WALL_MS)
    discovery.children("x", [replace(ROOT, last=None)], 1)
    assert discovery.shards(WALL_MS)[0].last == 19


def test_a_child_is_held_back_while_its_parents_page_is_missed() -> None:
    discovery = Discovery(confirm=False)
    grandchild = shard("grandchild", 30, "left")
    discovery.listed([LEFT, RIGHT, grandchild, shard("other", 5)], 0, WALL_MS)
    assert ids(discovery) == ["other"]
    assert discovery.next(1) == RestUntil(RELIST_MS)
    discovery.listed([ROOT, LEFT, RIGHT, grandchild, shard("other", 5)], RELIST_MS, WALL_MS)
    assert ids(discovery) == ["other", "root", "left", "right", "grandchild"]
    assert discovery.next(RELIST_MS) == RestUntil(RELIST_MS + LISTING_MS)


@pytest.mark.parametrize(("age_ms", "is_old"), [(RETENTION_MS - 1, False), (RETENTION_MS, True)])
def test_a_parent_is_missed_as_long_as_it_cannot_be_too_old(age_ms: int, is_old: bool) -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([shard("child", 20, "parent", age_ms=age_ms)], 0, WALL_MS)
    assert ids(discovery) == (["child"] if is_old else [])


def relisted(discovery: Discovery, shards: list[Shard]) -> int:
    """List a stream until it is asked for by name. Returns: how often it was listed."""
    count, now_ms = 0, 0
    while not isinstance(question := discovery.next(now_ms), AskFor):
        if isinstance(question, ListAll):
            discovery.listed(shards, now_ms, WALL_MS)
            count += 1
        else:
            assert isinstance(question, RestUntil)
            now_ms = question.monotonic_ms
    assert question == AskFor("root")
    return count


def test_a_parent_that_is_never_listed_is_asked_for_by_name_and_read() -> None:
    discovery = Discovery(confirm=False)
    assert relisted(discovery, [LEFT, RIGHT]) == 1 + RELISTS
    discovery.answered("root", can_be_read=True)
    root = discovery.shards(WALL_MS)[0]
    assert (root.shard_id, root.first, root.last, root.stream) == ("root", 1, 19, "label")
    assert ids(discovery) == ["root", "left", "right"]


def test_a_parent_that_cannot_be_read_is_gone_and_its_children_begin() -> None:
    discovery = Discovery(confirm=False)
    relisted(discovery, [LEFT, RIGHT])
    discovery.answered("root", can_be_read=False)
    assert ids(discovery) == ["left", "right"]
    discovery.listed([LEFT, RIGHT], 90_000, WALL_MS)
    assert ids(discovery) == ["left", "right"]


def test_a_shard_is_gone_when_several_listings_in_a_row_lack_it() -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([ROOT, LEFT], 0, WALL_MS)
    for listing in range(MISSED_LISTINGS - 1):
        discovery.listed([LEFT], listing + 1, WALL_MS + RETENTION_MS)
        assert ids(discovery) == ["root", "left"]
    discovery.listed([ROOT, LEFT], 3, WALL_MS + RETENTION_MS)
    for listing in range(MISSED_LISTINGS):
        discovery.listed([LEFT], listing + 4, WALL_MS + RETENTION_MS)
    assert [listed.shard_id for listed in discovery.shards(WALL_MS + RETENTION_MS)] == ["left"]


def test_a_shard_that_was_found_gone_is_not_believed_to_be_there() -> None:
    discovery = Discovery(confirm=False)
    discovery.listed([ROOT, LEFT], 0, WALL_MS)
    discovery.gone("root")
    discovery.listed([ROOT, LEFT], 1, WALL_MS)
    assert ids(discovery) == ["left"]


# ---- by chance ---------------------------------------------------------------------------------------------


class FarStream:
    """A stream whose shards split and roll over, and whose listings show it as it was at several moments."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.number = 100
        self.wall_ms = WALL_MS
        self.shards: dict[str, Shard] = {}
        self.before: list[dict[str, Shard]] = []
        for name in ("a", "b"):
            self.open(name)

    def open(self, name: str, *parents: str) -> None:
        self.number += 10
        self.shards[name] = Shard(name, self.number, parents, stream="label", created_ms=self.wall_ms)

    def go_on(self) -> None:
        """Something happens to a shard that is open."""
        self.before = [*self.before[-2:], dict(self.shards)]
        self.wall_ms += 1_000
        name = self.chance.choice(
            [listed.shard_id for listed in self.shards.values() if not listed.is_closed]
        )
        self.shards[name] = replace(self.shards[name], last=self.number + 5)
        for place in range(self.chance.choice((1, 1, 2))):
            self.open(f"{name}{place}", name)

    def listing(self) -> list[Shard]:
        """Pages of three shards, each as it is now or was a while ago; a page may be missed."""
        shown: list[Shard] = []
        names = sorted(self.shards)
        for start in range(0, len(names), 3):
            moment = self.chance.choice([self.shards, *self.before])
            if self.chance.random() < 0.9:
                shown += [moment[name] for name in names[start : start + 3] if name in moment]
        return shown

    def children(self, shard_id: str) -> list[Shard]:
        moment = self.chance.choice([self.shards, *self.before])
        return [listed for listed in moment.values() if shard_id in listed.parents]


def follow(seed: int, made: Callable[[], Discovery] = Discovery) -> tuple[FarStream, list[str]]:
    """A reader that begins what is shown, parents first, and finishes what is closed. Returns: what it read,
    in its order.
    """
    stream, discovery, now_ms = FarStream(seed), made(), 0
    begun: list[str] = []
    finished: set[str] = set()
    for step in range(400):
        if step < 60 and step % 4 == 0:
            stream.go_on()
        match discovery.next(now_ms):
            case ListAll():
                discovery.listed(stream.listing(), now_ms, stream.wall_ms)
            case ListChildren(shard_id):
                discovery.children(shard_id, stream.children(shard_id), now_ms)
            case AskFor(shard_id):
                discovery.answered(shard_id, can_be_read=shard_id in stream.shards)
            case RestUntil(until_ms) if until_ms < NEVER_MS:
                now_ms = until_ms
        if not discovery.is_settled:
            continue
        shown = {listed.shard_id: listed for listed in discovery.shards(stream.wall_ms)}
        for name, listed in shown.items():
            if name not in begun and finished.issuperset(shown.keys() & set(listed.parents)):
                begun.append(name)
        for name in begun:
            if stream.shards[name].is_closed and name not in finished:
                finished.add(name)
                discovery.finished(name, now_ms)
    return stream, begun


def disordered(stream: FarStream, begun: list[str]) -> list[str]:
    """Shards that were begun before a parent."""
    places = {name: place for place, name in enumerate(begun)}
    return [
        name for name in begun
        if any(places.get(parent, len(begun)) > places[name] for parent in stream.shards[name].parents)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_every_shard_is_found_and_none_before_its_parents(seed: int) -> None:
    stream, begun = follow(seed)
    assert set(begun) == set(stream.shards)
    assert disordered(stream, begun) == []


class BelievesAListing(Discovery):
    """A canary: what a listing lacks is gone, and who lacks a parent has none."""

    def _orphans(self, wall_ms: int) -> list[str]:
        return []


class AsksOnceForChildren(Discovery):
    """A canary: a shard without a child now has none, and no listing is made again."""

    def children(self, shard_id: str, shards: list[Shard], now_ms: int) -> None:
        super().children(shard_id, shards, now_ms)
        self._childless.pop(shard_id, None)

    def _next_listing_ms(self) -> int:
        return NEVER_MS


def test_a_reader_that_believes_a_listing_reads_a_child_before_its_parent() -> None:
    assert any(disordered(*follow(seed, BelievesAListing)) for seed in range(60))


def test_a_reader_that_asks_once_for_children_misses_some() -> None:
    followed = [follow(seed, AsksOnceForChildren) for seed in range(60)]
    assert any(set(begun) != set(stream.shards) for stream, begun in followed)
