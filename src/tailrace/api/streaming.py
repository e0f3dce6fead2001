"""Answers that go on: an operation that has more to say as time passes writes frames to an outlet.

Rules of this file: it knows no transport. What writes them is an operation's; the server has an outlet for
each version of HTTP (`server.streaming` has HTTP/1.1's). Stands alone because both sides know it and nothing
of each other.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from msgspec import Struct


class StreamReset(Exception):
    """The answer breaks off here: a client is not to take it for whole."""


class Outlet(Protocol):
    """Where the frames of one answer leave. It belongs to one task."""

    @property
    def is_blocked(self) -> bool:
        """Whether the client has yet to read what was written."""

    def write(self, frame: bytes) -> None:
        """Send it, as soon as the client takes it. While it is blocked nothing more is to be written."""

    async def drain(self) -> None:
        """Return when it is not blocked."""


Writing: TypeAlias = Callable[[Outlet, bytes], Awaitable[None]]


class Streamed(Struct, frozen=True):
    """An answer with status 200 and no end yet.

    Shape:   `write_to` gets the outlet and the content type of the request, which its payloads are in. It
             runs once the first lines of the answer have left; its return ends the answer, StreamReset
             breaks it off. It is cancelled when the client has gone or the server stops.
    """

    write_to: Writing
