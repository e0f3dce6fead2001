"""The feed of an aggregate: which event a handler is given next.

Theory of operation: a stream keeps the order of an item, and each event is an item of its own: where a
partition is spread over shards, event 2 can come before event 1. So a handler's last event is kept for each
aggregate, and an event is given only after the one before it. A hole is waited for as long as the missing
event can still come: until the stream has forgotten the one that stands right before (`previous_ms`). After
that it was handled by an operator's word, or before the handler was there.
Rules of this file: numbers in, a verdict out. Stands alone because the feed decides here, and acts in sinks.
"""

from typing import Final, Literal

from msgspec import Struct

STREAM_MS: Final = 86_400_000
"""How long a stream keeps a change."""


class FeedEvent(Struct, frozen=True):
    """An event as its place in the feed is judged. Units: previous_ms when the event before it was appended,
    ms since the epoch.
    """

    version: int
    previous_ms: int


class Hole(Struct, frozen=True):
    """An event that must come first. Units: until_ms, when it is waited for no longer."""

    version: int
    until_ms: int


def verdict(last: int | None, event: FeedEvent, now_ms: int) -> Literal["next", "handled"] | Hole:
    """Whether a handler is given this event. Shape: `last` is the last one that it has handled; None: not
    known.

    >>> verdict(None, FeedEvent(1, 0), 0), verdict(1, FeedEvent(2, 0), 0), verdict(2, FeedEvent(2, 0), 0)
    ('next', 'next', 'handled')
    >>> verdict(1, FeedEvent(3, 1_000), 2_000)
    Hole(version=2, until_ms=86401000)
    """
    if last is not None and event.version <= last:
        return "handled"
    until_ms = event.previous_ms + STREAM_MS
    if event.version == (last or 0) + 1 or now_ms >= until_ms:
        return "next"
    return Hole(event.version - 1 if last is None else last + 1, until_ms)
