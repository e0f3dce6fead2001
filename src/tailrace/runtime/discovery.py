"""What is known of a stream's shards, and what is asked next to know it: listings contradict themselves,
and cost a tenth of a second a page.

Theory of operation. A stream is listed whole when it is first seen, and from then on rarely: what
continues a shard that was read to its end is asked for by itself (CHILD_SHARDS), until it is there. A
listing is made of pages that were written at different times, so it is repaired before it is believed:
an open shard with a child is closed; a closed one whose child is not there yet is asked about again, for
as long as the stream is on; a shard that was there and is missing is kept until several listings in a
row lack it; and a child whose parent is missing, although the parent cannot be too old to be listed, is
held back: its parent's page was missed, and what the parent has comes first. Such a stream is listed
again, five times; then the parent is asked for by
name, and either read or known to be gone. The first listing is made twice, for nothing is known yet that
could contradict it; and as long as a listing is in doubt, none is shown.
Rules of this file: pure; it says what to ask, is told what came, and answers with shards. Nothing is
given up and nothing is guessed in silence. Performed by runtime/polling.py. Source: growth §3.1;
reference/fleet §1.2.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.runtime.pacing import DESCRIBES_PER_S, SECOND_MS
from tailrace.streams.dates import DAY_MS
from tailrace.streams.shards import Shard, in_order

RETENTION_MS: Final = DAY_MS
LISTING_MS: Final = 60_000
"""Between whole listings, at least: what continues a shard that is read to its end is noticed at once."""
SHARE_OF_LISTINGS: Final = 10
"""A whole listing uses at most a tenth of the calls that an account has."""
PAGE: Final = 100
"""Shards a page. Source: reference/fleet §1.1."""
RELIST_MS: Final = 500
RELISTS: Final = 5
"""So often is a listing that contradicts itself asked for again. Source: reference/fleet §1.2 (Flink)."""
MISSED_LISTINGS: Final = 3
"""So many listings in a row have to lack a shard before it is gone."""
FIRST_CHILD_MS: Final = 100
MOST_CHILD_MS: Final = 60_000
"""Between questions for the children of a shard that has none yet."""


class ListAll(Struct, frozen=True):
    """Ask for every shard of the stream, page by page."""


class ListChildren(Struct, frozen=True):
    """Ask for the shards that continue one."""

    shard_id: str


class AskFor(Struct, frozen=True):
    """Ask whether a shard that is named as a parent, and not listed, can be read."""

    shard_id: str


class RestUntil(Struct, frozen=True):
    """Nothing is to be asked before then. Units: of the monotonic clock."""

    monotonic_ms: int


Question: TypeAlias = ListAll | ListChildren | AskFor | RestUntil


class _Awaited(Struct):
    """A shard that was read to its end and has no child yet."""

    due_ms: int
    asked: int = 0


def listing_interval_ms(shards: int, least_ms: int = LISTING_MS) -> int:
    """Between two whole listings of a stream with that many shards.

    >>> listing_interval_ms(684), listing_interval_ms(10_000)
    (60000, 100000)
    """
    pages = -(-shards // PAGE)
    share_ms = pages * SECOND_MS // DESCRIBES_PER_S * SHARE_OF_LISTINGS if pages > 1 else 0
    return max(least_ms, share_ms)


class Discovery:
    """The shards of one stream. Shape: `confirm` whether the first listing is made twice; `has_filter`
    whether the other side knows CHILD_SHARDS. Units: every `now_ms` of the monotonic clock; `wall_ms` since
    the epoch; `listing_ms` how old a listing may be.
    """

    def __init__(
        self, *, has_filter: bool = True, retention_ms: int = RETENTION_MS, listing_ms: int = LISTING_MS,
        confirm: bool = True,
    ) -> None:  # fmt: skip
        self._has_filter = has_filter
        self._is_confirmed = not confirm
        self._least_ms = listing_ms
        self._retention_ms = retention_ms
        self._known: dict[str, Shard] = {}
        self._missed: dict[str, int] = {}
        """How many listings in a row have lacked a shard that was there."""
        self._gone: set[str] = set()
        """Parents that are named by a shard, and can no longer be read."""
        self._finished: set[str] = set()
        self._childless: dict[str, _Awaited] = {}
        self._listed_ms: int | None = None
        self._relists = 0
        self._asking_for: list[str] = []
        self._is_on = True

    @property
    def is_settled(self) -> bool:
        """Whether what is known can be acted on: who takes a part for the whole takes what it lacks for
        gone.
        """
        return self._listed_ms is not None and self._is_confirmed and not (self._relists or self._asking_for)

    # ---- what to ask ---------------------------------------------------------------------------------------

    def next(self, now_ms: int) -> Question:
        """What is to be asked now. It is the same until something is told."""
        if self._listed_ms is None:
            return ListAll()
        if self._asking_for:
            return AskFor(self._asking_for[0])
        dues: list[tuple[int, Question]] = [(self._next_listing_ms(), ListAll())]
        for shard_id, awaited in self._childless.items():
            asked = ListChildren(shard_id) if self._has_filter else ListAll()
            dues.append((awaited.due_ms, asked))
        due_ms, question = min(dues, key=lambda due: due[0])
        return question if due_ms <= now_ms else RestUntil(due_ms)

    def _next_listing_ms(self) -> int:
        assert self._listed_ms is not None
        interval_ms = listing_interval_ms(len(self._known), self._least_ms)
        return self._listed_ms + (interval_ms if self._is_confirmed and not self._relists else RELIST_MS)

    # ---- what came -----------------------------------------------------------------------------------------

    def listed(self, shards: Sequence[Shard], now_ms: int, wall_ms: int, *, is_on: bool = True) -> None:
        """Every shard, as the stream was listed just now. Shape: `is_on` whether new ones can still come."""
        self._is_confirmed = self._is_confirmed or self._listed_ms is not None
        self._listed_ms, self._is_on = now_ms, is_on
        seen = {shard.shard_id for shard in shards}
        self._learn(shards)
        for shard_id in self._known.keys() - seen:
            self._missed[shard_id] = self._missed.get(shard_id, 0) + 1
            if self._missed[shard_id] >= MISSED_LISTINGS:
                self._forget(shard_id)
        named = {parent for shard in self._known.values() for parent in shard.parents}
        self._gone &= seen | named
        orphans = self._orphans(wall_ms)
        self._relists = self._relists + 1 if orphans else 0
        if self._relists > RELISTS:
            self._relists, self._asking_for = 0, orphans
        for awaited in self._childless.values():
            if not self._has_filter:
                _again(awaited, now_ms)
        self._stop_waiting()

    def children(self, shard_id: str, shards: Sequence[Shard], now_ms: int) -> None:
        """The shards that continue one, as they were listed just now; none if there are none yet."""
        self._learn(shards)
        awaited = self._childless.get(shard_id)
        if awaited is not None and not shards:
            _again(awaited, now_ms)
        self._stop_waiting()

    def answered(self, shard_id: str, *, can_be_read: bool) -> None:
        """A parent that is not listed was asked for by name. One that can be read is a shard as any
        other; of where it begins, and of its own parents, nothing is known.
        """
        self._asking_for = [other for other in self._asking_for if other != shard_id]
        if not can_be_read:
            self._gone.add(shard_id)
            return
        children = [shard for shard in self._known.values() if shard_id in shard.parents]
        last = max(1, min((child.first for child in children), default=2) - 1)
        stream = children[0].stream if children else ""
        self._known.setdefault(shard_id, Shard(shard_id, 1, (), last, stream=stream))

    def finished(self, shard_id: str, now_ms: int) -> None:
        """A shard was read to its end: what continues it is wanted now. Repeatable."""
        if shard_id in self._finished or shard_id not in self._known:
            return
        self._finished.add(shard_id)
        self._childless[shard_id] = _Awaited(now_ms)
        self._stop_waiting()

    def gone(self, shard_id: str) -> None:
        """A shard can no longer be read, whatever listings say."""
        self._gone.add(shard_id)
        self._forget(shard_id)

    def _learn(self, shards: Iterable[Shard]) -> None:
        for shard in shards:
            before = self._known.get(shard.shard_id)
            if shard.shard_id in self._gone:
                continue
            if before is not None and before.is_closed and not shard.is_closed:
                continue  # an older page than the one that said that it is closed
            self._known[shard.shard_id] = shard
            self._missed.pop(shard.shard_id, None)

    def _forget(self, shard_id: str) -> None:
        self._known.pop(shard_id, None)
        self._missed.pop(shard_id, None)
        self._finished.discard(shard_id)
        self._childless.pop(shard_id, None)

    def _stop_waiting(self) -> None:
        """Of shards whose children are there, and of all of a stream that is off, nothing more is wanted."""
        parents = {parent for shard in self._known.values() for parent in shard.parents}
        for shard_id in list(self._childless):
            if shard_id in parents or not self._is_on:
                del self._childless[shard_id]

    def _orphans(self, wall_ms: int) -> list[str]:
        """Parents that are named and not listed, although they closed less than the retention ago: when
        their child began.
        """
        return sorted(
            {
                parent
                for shard in self._known.values()
                for parent in shard.parents
                if parent not in self._known
                and parent not in self._gone
                and not self._is_too_old(shard, wall_ms)
            }
        )

    def _is_too_old(self, shard: Shard, wall_ms: int) -> bool:
        """Whether everything that was written before a shard began is past the retention."""
        return 0 < shard.created_ms <= wall_ms - self._retention_ms

    # ---- what is known -------------------------------------------------------------------------------------

    def shards(self, wall_ms: int) -> list[Shard]:
        """Every shard that can be read, parents before their children; without those that continue one
        that is still missing, and what continues them.
        """
        firsts: dict[str, int] = {}
        for shard in self._known.values():
            for parent in shard.parents:
                firsts[parent] = min(firsts.get(parent, shard.first), shard.first)
        missing = set(self._orphans(wall_ms))
        placed: list[Shard] = []
        for shard in in_order(self._known.values()):
            if not missing.isdisjoint(shard.parents):
                missing.add(shard.shard_id)
            elif not shard.is_closed and shard.shard_id in firsts:
                placed.append(replace(shard, last=max(shard.first, firsts[shard.shard_id] - 1)))
            else:
                placed.append(shard)
        return placed


def _again(awaited: _Awaited, now_ms: int) -> None:
    """Ask later for children that were not there."""
    awaited.due_ms = now_ms + min(FIRST_CHILD_MS << min(awaited.asked, 16), MOST_CHILD_MS)
    awaited.asked += 1
