"""Which version of HTTP a client speaks: its first bytes tell.

Theory of operation: a client that knows that we speak HTTP/2 begins with a preface that is no request of
HTTP/1.1. The connection is handed over as soon as the first byte differs from it or all of it is there; h2 is
imported by the first client that needs it.
Rules of this file: it answers nothing. Source: RFC 9113 §3.4. Stands alone because it knows both versions,
and neither knows the other.
"""

import asyncio
from typing import cast

from tailrace.server.connection import Connection
from tailrace.server.http import HTTP2_PREFACE, Guest, HttpServer


class Newcomer(Guest):
    """A connection of which nothing, or less than a preface, has come."""

    __slots__ = ("_began", "_received", "_server", "_transport")

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._received = b""
        self._began = server.tick

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.remember(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone without a word."""
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Hand over, as soon as it is clear to whom."""
        received = self._received = self._received + data
        if received.startswith(HTTP2_PREFACE):
            from tailrace.server.http2 import Http2Connection

            self._hand_over(Http2Connection(self._server))
        elif not HTTP2_PREFACE.startswith(received):
            self._hand_over(Connection(self._server))

    def _hand_over(self, guest: Guest) -> None:
        transport = self._transport
        transport.set_protocol(guest)
        guest.connection_made(transport)
        self._server.forget(self)
        guest.data_received(self._received)

    def sweep(self) -> None:
        """Close what says nothing, or not all of the preface."""
        settings = self._server.settings
        most_s = settings.header_seconds if self._received else settings.idle_seconds
        if self._server.tick - self._began > most_s:
            self._transport.abort()

    def finish(self) -> None:
        """It has asked for nothing."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
