"""One client's connection in HTTP/2, by prior knowledge: many requests at once, with flow control both ways.

Theory of operation: `h2` knows the protocol; here is what it means. A stream is one request and its answer,
which is made as HTTP/1.1's and whose head is put into HTTP/2's words. Answers leave in pieces, a piece of
each in turn, as far as the windows of the client and the transport's buffer go. Requests wait while more than
`answer_bytes` of whole answers wait for the client; an answer that goes on waits by itself.
Rules of this file: every byte a client may send ends in an answer, in RST_STREAM or in GOAWAY. Memory is
bounded: streams at once, headers, bodies, answers that wait. Time is the server's `tick`. Made by
`server.preface`, when a client begins so. Source: RFC 9113.
"""

import asyncio
from collections import deque
from typing import Final, cast

import h2.events as happened
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from tailrace.api.wire import Request
from tailrace.server.http import HTTP2_PREFACE, Guest, HttpServer
from tailrace.server.http2_stream import Http2Stream
from tailrace.server.others import refusal

STREAMS: Final = 128
"""Open at once on one connection. Clients believe in 100 before they are told."""
MOST_WORK: Final = 2 * STREAMS
"""Answers that are worked on, those of clients that no longer want them among them; then nothing is read."""
WINDOW_BYTES: Final = 1_048_576
"""How much of a body may be on its way, of one stream and of all."""
PIECE_BYTES: Final = 65_536
"""What one stream sends before the next one's turn comes, at most."""
FRAME_HEAD: Final = 9
FRAME_BYTES: Final = 16_384
"""What a frame may carry: we ask for no more than every client keeps to."""
NOT_IN_HTTP2: Final = frozenset((b"connection", b"transfer-encoding"))
END_OF_HEAD: Final = b"\r\n\r\n"


class FrameLengths:
    """Where frames begin in what comes: h2 waits for the end of a frame, however long it says it is.

    >>> lengths = FrameLengths(0)
    >>> lengths.fit(bytes((0, 64, 0, 0))), lengths.fit(bytes(5 + 16_384) + bytes((0, 64, 1) + (0,) * 6))
    (True, False)
    """

    __slots__ = ("_head", "_left")

    def __init__(self, before: int) -> None:
        self._left = before  # of a frame, or of what stands before the first one
        self._head = b""

    def fit(self, data: bytes) -> bool:
        """Whether all frames that begin in what comes next have a length that may be."""
        at = 0
        while at < len(data):
            if self._left:
                passed = min(self._left, len(data) - at)
                self._left -= passed
                at += passed
                continue
            missing = FRAME_HEAD - len(self._head)
            self._head += data[at : at + missing]
            at += missing
            if len(self._head) == FRAME_HEAD:
                self._left = int.from_bytes(self._head[:3])
                self._head = b""
                if self._left > FRAME_BYTES:
                    return False
        return True


class Http2Connection(Guest):
    """The protocol of one connection."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: server.settings.header_bytes,
            },
        )
        self._h2.decoder.max_header_list_size = server.settings.header_bytes
        self._lengths = FrameLengths(len(HTTP2_PREFACE))
        self._streams: dict[int, Http2Stream] = {}
        self._ready: deque[Http2Stream] = deque()
        self._backlog: deque[Http2Stream] = deque()
        self._waiting_bytes = 0  # of whole answers
        self._work: set[asyncio.Task[None]] = set()
        self._touched = self._paused_at = server.tick
        self._is_paused = False  # the client does not read
        self._is_finishing = False  # GOAWAY was sent, and streams are answered
        self._is_over = False  # what still arrives is thrown away

    # ---- the transport's side ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client speaks HTTP/2: tell it the settings."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.remember(self)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: all is given back."""
        self._is_over = True
        for stream in tuple(self._streams.values()):
            self._drop(stream)
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Read frames, and do what they ask for."""
        if self._is_over:
            return
        self._touched = self._server.tick
        if not self._lengths.fit(data):
            self._h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            self._end()
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:  # h2 has put down a GOAWAY that says why
            self._end()
            return
        for event in events:
            self._see(event)
        self._pump()
        self._flush()

    def eof_received(self) -> bool:
        """The client has gone: what it asked for has no reader."""
        return False

    def pause_writing(self) -> None:
        """The client does not read: stop reading, too, lest acknowledgements pile up."""
        self._is_paused = True
        self._paused_at = self._server.tick
        self._govern_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_paused = False
        self._govern_reading()
        self._pump()

    # ---- frames --------------------------------------------------------------------------------------------

    def _see(self, event: happened.Event) -> None:
        match event:
            case happened.RequestReceived():
                self._open(event)
            case happened.DataReceived():
                self._take(event)
            case happened.StreamEnded():
                stream = self._streams.get(event.stream_id)
                if stream is not None and not stream.is_refused:
                    stream.is_whole = True
                    self._backlog.append(stream)
                    self._work_backlog()
            case happened.StreamReset():
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    self._drop(stream)
            case happened.WindowUpdated() | happened.RemoteSettingsChanged():
                for stream in self._streams.values():
                    self._make_ready(stream)
            case happened.ConnectionTerminated():
                self._part(event)
            case _:
                pass  # pings and settings are acknowledged by h2; priorities are advice

    def _part(self, event: happened.ConnectionTerminated) -> None:
        """The client sends GOAWAY: it asks for nothing more, and may wait for what it has asked for."""
        self._is_finishing = True
        if event.error_code == ErrorCodes.NO_ERROR and self._streams:
            self._h2.state_machine.state = ConnectionState.SERVER_OPEN  # h2 takes it for the end at once
        else:
            self._end()

    def _open(self, event: happened.RequestReceived) -> None:
        number = event.stream_id
        stream = self._streams[number] = Http2Stream(self, self._server, number)
        if self._is_finishing:
            self.reset(stream, ErrorCodes.REFUSED_STREAM)
            return
        headers: dict[bytes, bytes] = {}
        for name, value in event.headers or ():
            headers.setdefault(name, value)  # the first one counts
        method, url = headers.pop(b":method", b""), headers.pop(b":path", b"")
        host = headers.pop(b":authority", None)
        if host is not None:
            headers[b"host"] = host
        stream.request = Request(method, url, headers, b"", True)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 20 or int(length) > self._server.settings.body_bytes:
            self._refuse(stream, 413)
        elif headers.get(b"expect", b"").lower() == b"100-continue":
            try:
                self._h2.send_headers(number, [(b":status", b"100")])
            except ProtocolError:
                self._drop(stream)

    def _take(self, event: happened.DataReceived) -> None:
        """A piece of a body. Its window is given back at once: bodies are bounded by themselves."""
        number = event.stream_id
        self._h2.acknowledge_received_data(event.flow_controlled_length, number)
        stream = self._streams.get(number)
        if stream is None or stream.is_refused or not event.data:
            return
        stream.touched = self._server.tick
        stream.body += event.data  # joined at once: a body may come in pieces of a byte
        if len(stream.body) > self._server.settings.body_bytes:
            self._refuse(stream, 413)
        elif not stream.hold(len(stream.body)):
            self._refuse(stream, 503)

    def _refuse(self, stream: Http2Stream, status: int) -> None:
        """Answer without the rest of the request."""
        stream.is_refused = True
        stream.body.clear()
        stream.hold(0)
        self.respond(stream, refusal(self._server, status))

    def _work_backlog(self) -> None:
        while self._backlog and self._waiting_bytes <= self._server.settings.answer_bytes:
            stream = self._backlog.popleft()
            if self.has(stream):
                stream.work()

    def _end(self) -> None:
        """Send what is left to say, and take nothing more; the client gets time to read it."""
        for stream in tuple(self._streams.values()):
            self._drop(stream)
        self._flush()
        self._is_over = True
        self._paused_at = self._server.tick
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self._transport.close()

    # ---- answers -------------------------------------------------------------------------------------------

    def has(self, stream: Http2Stream) -> bool:
        """Whether its client still waits for the answer."""
        return self._streams.get(stream.id) is stream

    def owe(self, size: int) -> None:
        """So many more bytes of whole answers wait to leave; fewer, when it is negative."""
        self._waiting_bytes += size

    def remember(self, task: "asyncio.Task[None]") -> None:
        """Work that is under way: of too much of it no more is asked for."""
        self._work.add(task)
        task.add_done_callback(self._forget_work)
        self._govern_reading()

    def _forget_work(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        self._govern_reading()

    def respond(self, stream: Http2Stream, answer: bytes) -> None:
        """Let an answer of HTTP/1.1 leave in HTTP/2's words."""
        if not self.has(stream):
            return
        head, _, body = answer.partition(END_OF_HEAD)
        first, *lines = head.split(b"\r\n")
        headers = [(b":status", first.split(b" ", 2)[1])]
        for line in lines:
            name, _, value = line.partition(b": ")
            if name.lower() not in NOT_IN_HTTP2:
                headers.append((name.lower(), value))
        try:
            self._h2.send_headers(stream.id, headers, end_stream=not (body or stream.goes_on))
        except ProtocolError:  # the client has reset it, in bytes that came with the request
            self._drop(stream)
            return
        stream.is_answered = True
        stream.touched = self._server.tick
        if body:
            self.push(stream, body)
        if not stream.goes_on:
            stream.is_ended = True
            if not body:
                self._close(stream)
        self._pump()
        self._flush()

    def push(self, stream: Http2Stream, data: bytes) -> None:
        """Put more of an answer behind what waits."""
        if data and self.has(stream):
            stream.pending.append(memoryview(data))
            stream.writable.fill()
            if not stream.goes_on:
                self._waiting_bytes += len(data)
            self._make_ready(stream)
            if stream.goes_on:
                self._pump()

    def end(self, stream: Http2Stream) -> None:
        """No more comes of an answer that goes on."""
        stream.is_ended = True
        if self.has(stream):
            self._make_ready(stream)
            self._pump()

    def reset(self, stream: Http2Stream, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Break a stream off."""
        if self.has(stream):
            self._drop(stream)
            try:
                self._h2.reset_stream(stream.id, code)
            except ProtocolError:
                return  # it is gone already
            self._flush()

    def _make_ready(self, stream: Http2Stream) -> None:
        if not stream.is_ready and stream.is_answered and (stream.pending or stream.is_ended):
            stream.is_ready = True
            self._ready.append(stream)

    def _pump(self) -> None:
        """Send what windows and the transport let, a piece of each stream in turn."""
        while self._ready and not self._is_paused:
            stream = self._ready.popleft()
            stream.is_ready = False
            if self.has(stream) and self._send_piece(stream):
                self._make_ready(stream)
            self._flush()
        if self._backlog:
            self._work_backlog()

    def _send_piece(self, stream: Http2Stream) -> bool:
        """Returns: whether there is more that could be sent."""
        try:
            if not stream.pending:
                self._h2.send_data(stream.id, b"", end_stream=True)
                self._close(stream)
                return False
            rest = stream.pending[0]
            most = min(
                self._h2.local_flow_control_window(stream.id), self._h2.max_outbound_frame_size, PIECE_BYTES
            )
            if most <= 0:
                return False  # a window that opens makes it ready
            piece = rest[:most]
            is_last = stream.is_ended and len(stream.pending) == 1 and len(piece) == len(rest)
            self._h2.send_data(stream.id, bytes(piece), end_stream=is_last)
        except ProtocolError:
            self._drop(stream)
            return False
        stream.touched = self._server.tick
        if not stream.goes_on:
            self._waiting_bytes -= len(piece)
        if len(piece) < len(rest):
            stream.pending[0] = rest[most:]
            return True
        stream.pending.popleft()
        if is_last:
            self._close(stream)
        elif not stream.pending:
            stream.writable.empty()
        return bool(stream.pending) and not is_last

    def _close(self, stream: Http2Stream) -> None:
        """All of it has left."""
        if stream.is_refused and not stream.is_whole:
            self.reset(stream, ErrorCodes.NO_ERROR)
        else:
            self._drop(stream, is_answered=True)

    def _drop(self, stream: Http2Stream, *, is_answered: bool = False) -> None:
        """Forget a stream, and end what is only done for its client."""
        if self._streams.pop(stream.id, None) is None:
            return
        if not stream.goes_on:
            self._waiting_bytes -= sum(len(piece) for piece in stream.pending)
        stream.pending.clear()
        stream.body.clear()
        if not is_answered:
            stream.cancel()
        stream.hold(0)
        self._touched = self._server.tick
        if self._is_finishing and not self._streams:
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _govern_reading(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_paused or len(self._work) > MOST_WORK:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # ---- time ----------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Close what has stood still for too long. Called now and then, after the tick has moved."""
        now, settings = self._server.tick, self._server.settings
        if self._is_over:
            if now - self._paused_at > settings.linger_seconds:
                self._transport.abort()
        elif self._is_paused and now - self._paused_at > settings.write_seconds:
            self._transport.abort()
        elif not (self._streams or self._work) and now - self._touched > settings.idle_seconds:
            self.finish()
        else:
            for stream in tuple(self._streams.values()):
                if self._is_late(stream, now):
                    self.reset(stream)

    def _is_late(self, stream: Http2Stream, now: float) -> bool:
        settings = self._server.settings
        if stream.is_answered:
            most_s = settings.request_seconds if stream.goes_on else settings.write_seconds
            return bool(stream.pending) and now - stream.touched > most_s
        return not stream.is_whole and (
            now - stream.touched > settings.read_seconds or now - stream.began > settings.request_seconds
        )

    def finish(self) -> None:
        """Take no further request; close when what is under way is answered. What goes on is ended."""
        if self._is_over:
            return
        if not self._is_finishing:  # by its client
            self._is_finishing = True
            self._flush()
            last = self._h2.highest_inbound_stream_id
            self._transport.write(GoAwayFrame(0, last_stream_id=last).serialize())  # h2's own ends it at once
        for stream in tuple(self._streams.values()):
            if stream.goes_on:
                stream.cancel()
        if not self._streams:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
