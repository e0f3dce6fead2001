"""A client that speaks HTTP/2 by prior knowledge: h2's client side over a socket.

Rules of this file: windows open only when a test says so, or with `reads`; nothing is checked here.
"""

import socket
from typing import Any

import h2.events as happened
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection

from tests.patience import PATIENCE_S

SIGNED = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-date": "20260101T000000Z",
    "authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
}
HEAD = 9
"""Bytes before what a frame carries."""


class Http2Client:
    """One connection. Shape: `statuses`, `headers` and `bodies` by stream, as far as they have come; `ended`
    and `resets` (with their codes) are streams, `gone` is the code of the server's GOAWAY.
    """

    def __init__(self, port: int, *, reads: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.reads = reads
        self.statuses: dict[int, int] = {}
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.gone: int | None = None
        self.pongs: list[bytes] = []
        self.continued: set[int] = set()
        self.is_closed = False
        self._buffer = b""
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        """Send what h2 has put down."""
        data = self.h2.data_to_send()
        if data:
            try:
                self.socket.sendall(data)
            except ConnectionError:
                self.is_closed = True

    def begin(
        self,
        method: str = "POST",
        path: str = "/",
        *,
        host: str = "localhost",
        ends: bool = False,
        **more: str,
    ) -> int:
        """The head of a request. Returns: its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = {":method": method, ":path": path, ":scheme": "http", ":authority": host}
        headers = {**pseudo, **{name.replace("_", "-"): value for name, value in more.items()}}
        self.h2.send_headers(stream, list(headers.items()), end_stream=ends)
        self.bodies[stream] = bytearray()
        return stream

    def ask(
        self, operation: str, body: bytes = b"{}", service: str = "DynamoDB_20120810", **more: str
    ) -> int:
        """A whole request. Returns: its stream."""
        stream = self.begin(**{**SIGNED, "x-amz-target": f"{service}.{operation}", **more})
        self.send_body(stream, body)
        return stream

    def send_body(self, stream: int, body: bytes) -> None:
        """A body to its end, as the server's windows let."""
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if room <= 0:
                self.flush()
                self.receive()
                continue
            self.h2.send_data(stream, body[:room])
            body = body[room:]
        self.h2.end_stream(stream)
        self.flush()

    def say_goaway(self) -> None:
        """Ask for nothing more, and wait for what was asked for."""
        self.h2.close_connection()
        self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
        self.flush()

    def receive(self) -> None:
        """Send what waits; then take what comes next."""
        self.flush()
        try:
            data = self.socket.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.is_closed = True
            return
        self._buffer += data
        while len(self._buffer) >= HEAD and len(self._buffer) >= (
            size := HEAD + int.from_bytes(self._buffer[:3])
        ):
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            for event in self.h2.receive_data(frame):
                self._see(event)
        self.flush()

    def _see(self, event: Any) -> None:
        match event:
            case happened.InformationalResponseReceived():
                self.continued.add(event.stream_id)
            case happened.ResponseReceived():
                headers = dict(event.headers)
                self.statuses[event.stream_id] = int(headers.pop(":status"))
                self.headers[event.stream_id] = headers
            case happened.DataReceived():
                self.bodies[event.stream_id] += event.data
                if self.reads:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case happened.StreamEnded():
                self.ended.add(event.stream_id)
            case happened.StreamReset():
                self.resets[event.stream_id] = event.error_code
            case happened.ConnectionTerminated():
                self.gone = event.error_code
                self.h2.state_machine.state = ConnectionState.CLIENT_OPEN  # h2 takes it for the end at once
            case happened.PingAckReceived():
                self.pongs.append(event.ping_data)

    def wait(self, *streams: int) -> None:
        """Until these are answered or broken off. Raises: EOFError when the server closes instead."""
        while not self.ended.union(self.resets).issuperset(streams):
            if self.is_closed:
                raise EOFError(self.ended)
            self.receive()

    def answer(self, stream: int) -> tuple[int, dict[str, str], bytearray]:
        """One whole answer."""
        self.wait(stream)
        return self.statuses[stream], self.headers[stream], self.bodies[stream]

    def body_so_far(self, stream: int, size: int) -> bytearray:
        """So many bytes of a body."""
        while len(self.bodies[stream]) < size:
            if self.is_closed:
                raise EOFError(self.bodies[stream])
            self.receive()
        return self.bodies[stream]

    def wait_for_end(self) -> int | None:
        """Until the server closes. Returns: the code of its GOAWAY."""
        while not self.is_closed:
            self.receive()
        return self.gone
