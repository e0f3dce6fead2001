"""A stream of another server, read at a pace: what runtime/pacing.py and runtime/discovery.py decide, done.

Theory of operation: a read waits here until it is due, is made, and waits again while nothing came: a
reader sees a source that waits for a record, as the embedded one does. Listings are asked a page at a
time; one that was broken off goes on where it was. Time is the clock's.
Rules of this file: no task outlives the read that began it; an error goes to whoever reads, who decides
when to ask again, and the shard's own pause is kept whoever asks. Made where a worker is joined.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from tailrace.errors import PortError
from tailrace.ports import Clock, ReadDone, Shard, Source, StreamRef
from tailrace.runtime.discovery import LISTING_MS, AskFor, Discovery, ListAll, ListChildren, RestUntil
from tailrace.runtime.pacing import Pacer, Place

STREAMS_MS: Final = 10_000
"""How soon a stream that was switched on or off is noticed."""
UNREAD_MS: Final = 60_000
"""A shard that nobody has read for so long is not read here any more."""
PAGES_MS: Final = 60_000
"""How old the pages of a listing may be that was broken off, before it begins anew."""


class ShardPage(Struct, frozen=True):
    """A page of a listing. Shape: `following` is the id behind which the next one begins, "" after the
    last; `is_on` whether the stream still gets records.
    """

    shards: Sequence[Shard]
    following: str
    is_on: bool


class PagedSource(Source, Protocol):
    """A source whose shards are listed a page at a time. It never waits. Raises: SourceError."""

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        """A page of the listing, behind the shard `start`."""

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        """The shards that continue one."""

    async def can_be_read(self, stream: StreamRef, shard_id: str) -> bool:
        """Whether a shard is there, listed or not."""


class _Listing(Struct):
    """A listing that is under way."""

    begun_ms: int
    shards: list[Shard]
    start: str = ""


class _Followed(Struct):
    """A stream, and what is known of its shards."""

    discovery: Discovery
    lock: asyncio.Lock
    listing: _Listing | None = None


class PolledSource:
    """A `Source` that waits for records and keeps within budgets, over one that does neither. Units:
    listing_ms how old what `shards` answers may be, where nothing that is read here has ended.
    """

    def __init__(
        self, source: PagedSource, clock: Clock, pacer: Pacer, *, has_filter: bool = True,
        listing_ms: int = LISTING_MS, confirm: bool = True,
    ) -> None:  # fmt: skip
        self._confirm = confirm
        self._listing_ms = listing_ms
        self._source = source
        self._clock = clock
        self._pacer = pacer
        self._has_filter = has_filter
        self._streams: dict[str, _Followed] = {}
        """By label."""
        self._resting: dict[Place, set[asyncio.Future[None]]] = {}
        self._reading: dict[Place, int] = {}
        self._present: tuple[int, StreamRef] | None = None
        self._ended: tuple[int, list[StreamRef]] | None = None

    # ---- streams and shards --------------------------------------------------------------------------------

    async def stream(self) -> StreamRef:
        """The present stream, as it was some seconds ago at most. Raises: SourceError."""
        now_ms = self._now_ms()
        if self._present is None or self._present[0] + STREAMS_MS <= now_ms:
            self._present = None
            await self._pace_description()
            stream = await self._source.stream()
            self._present = now_ms, stream
        return self._present[1]

    async def earlier(self) -> list[StreamRef]:
        """Streams that have ended, as it was some seconds ago at most. Raises: SourceError.

        Guarantee: a stream that `stream` named before, and names no more, is among them as soon as it is no
                   longer named.
        """
        now_ms = self._now_ms()
        present_ms = now_ms if self._present is None else self._present[0]
        if self._ended is None or self._ended[0] + STREAMS_MS <= now_ms or self._ended[0] < present_ms:
            await self._pace_description()
            self._ended = now_ms, await self._source.earlier()
        return self._ended[1]

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can be read, as far as it is known now; while a listing contradicts itself, it is
        waited until it no longer does. Raises: SourceError.
        """
        if stream is None:
            stream = await self.stream()
        followed = self._followed(stream.label)
        self._pacer.forget(self._now_ms() - UNREAD_MS, self._reading)
        async with followed.lock:
            has_listed = False
            while True:
                match followed.discovery.next(self._now_ms()):
                    case ListAll() if has_listed and followed.discovery.is_settled:
                        return followed.discovery.shards(self._clock.now().wall_ms)
                    case ListAll():
                        await self._list_all(stream, followed)
                        has_listed = True
                    case ListChildren(shard_id):
                        await self._pace_description()
                        shards = await self._source.children(stream, shard_id)
                        followed.discovery.children(shard_id, shards, self._now_ms())
                    case AskFor(shard_id):
                        can_be_read = await self._source.can_be_read(stream, shard_id)
                        followed.discovery.answered(shard_id, can_be_read=can_be_read)
                    case RestUntil(until_ms) if not followed.discovery.is_settled:
                        await self._clock.sleep_until(until_ms)
                    case RestUntil():
                        return followed.discovery.shards(self._clock.now().wall_ms)

    def _followed(self, label: str) -> _Followed:
        followed = self._streams.get(label)
        if followed is None:
            discovery = Discovery(
                has_filter=self._has_filter, listing_ms=self._listing_ms, confirm=self._confirm
            )
            followed = self._streams[label] = _Followed(discovery, asyncio.Lock())
        return followed

    async def _list_all(self, stream: StreamRef, followed: _Followed) -> None:
        """List a stream to its end. What was listed before an error is kept. Raises: SourceError."""
        listing = followed.listing
        if listing is None or listing.begun_ms + PAGES_MS <= self._now_ms():
            listing = followed.listing = _Listing(self._now_ms(), [])
        is_on = True
        while True:
            await self._pace_description()
            page = await self._source.shard_page(stream, listing.start)
            is_on = page.is_on
            if listing.start and not page.shards:
                break  # it went between the pages: what is missing is noticed
            listing.shards += page.shards
            listing.start = page.following
            if not listing.start:
                break
        followed.listing = None
        now = self._clock.now()
        followed.discovery.listed(listing.shards, now.monotonic_ms, now.wall_ms, is_on=is_on)

    async def _pace_description(self) -> None:
        """Before a page of a listing, and before a look at a table's streams, which describes one of them."""
        now_ms = self._now_ms()
        at_ms = self._pacer.describes.book(now_ms)
        if at_ms > now_ms:
            await self._clock.sleep_until(at_ms)

    # ---- records -------------------------------------------------------------------------------------------

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position; waits while there are none and the shard is open. Raises:
        SourceError.
        """
        place = shard.place
        self._reading[place] = self._reading.get(place, 0) + 1
        is_whole = False
        try:
            while True:
                page = await self._read_when_due(shard, after, limit)
                if page.records or page.closed or page.trimmed or page.next_after > after or limit == 0:
                    is_whole = True
                    return page
        except PortError:
            is_whole = True
            raise
        finally:
            self._reading[place] -= 1
            if not self._reading[place]:
                del self._reading[place]
                if not is_whole:  # cancelled: whoever read it has left
                    self._pacer.end(place)

    async def _read_when_due(self, shard: Shard, after: int, limit: int) -> ReadDone:
        place = shard.place
        if limit:
            self._pacer.begin(place, self._now_ms())
            await asyncio.sleep(0)  # all that begin together are counted before the first of them is read
            await self._rest(place, after)
        now_ms = self._now_ms()
        if limit:
            at_ms = self._pacer.book(place, after, now_ms)
        else:
            at_ms = self._pacer.book_question(place, now_ms)
        if at_ms > now_ms:
            await self._clock.sleep_until(at_ms)
        try:
            page = await self._source.read(shard, after, limit)
        except PortError as error:
            self._pacer.failed(place, error.retry_after_ms, self._now_ms())
            raise
        if limit:
            self._note(shard, page)
        return page

    def _note(self, shard: Shard, page: ReadDone) -> None:
        place, has_records = shard.place, bool(page.records)
        woken = self._pacer.page(place, page.next_after, has_records=has_records, now_ms=self._now_ms())
        for sibling in woken:
            for resting in self._resting.pop(sibling, ()):
                if not resting.done():
                    resting.set_result(None)
        if page.closed:
            self._pacer.end(place)
            self._followed(shard.stream).discovery.finished(shard.shard_id, self._now_ms())

    async def _rest(self, place: Place, after: int) -> None:
        """Wait until a read is due."""
        while (due_ms := self._pacer.due_ms(place, after, self._now_ms())) > self._now_ms():
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            resting = self._resting.setdefault(place, set())
            resting.add(woken)
            over = asyncio.ensure_future(self._clock.sleep_until(due_ms))
            try:
                await asyncio.wait((over, woken), return_when=asyncio.FIRST_COMPLETED)
            finally:
                over.cancel()
                resting.discard(woken)
                if not resting and self._resting.get(place) is resting:
                    del self._resting[place]

    def unread_ms(self, shard: Shard) -> int | None:
        """How long ago a read of a shard last succeeded, empty or not: what its lag is where nothing is
        known to be unsettled. None: none ever has.
        """
        return self._pacer.unread_ms(shard.place, self._now_ms())

    def _now_ms(self) -> int:
        return self._clock.now().monotonic_ms
