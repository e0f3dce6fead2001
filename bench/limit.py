"""The limit: an HTTP server on the same libraries and the same store, without any of DynamoDB's semantics.

Rules of this file: as fast as Python allows, nothing checked. It answers `put`, `get` and `query` by the
target header; one SQLite transaction per event-loop turn. What Tailrace loses against it is the price of the
semantics. `python -m bench.limit DIRECTORY` prints its port and serves.
"""

import asyncio
import itertools
import sqlite3
import sys
from typing import cast

import httptools
import orjson

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"


class Limit:
    """The state of the server: one connection to SQLite and the answers of this turn."""

    def __init__(self, directory: str) -> None:
        self.database = sqlite3.connect(f"{directory}/limit.db", isolation_level=None)
        self.database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;CREATE TABLE items(key BLOB PRIMARY KEY, "
            "value BLOB) WITHOUT ROWID;CREATE TABLE log(sequence INTEGER PRIMARY KEY, old BLOB, new BLOB);"
        )
        self.sequence = itertools.count(1)
        self.rows: list[tuple[bytes, bytes]] = []
        self.log: list[tuple[int, bytes | None, bytes]] = []
        self.answers: list[tuple[asyncio.Transport, bytes]] = []

    def execute(self, transport: asyncio.Transport, operation: bytes, body: bytes) -> None:
        """Do one request, and flush at the end of the turn."""
        if not self.answers:
            asyncio.get_running_loop().call_soon(self.flush)
        payload = orjson.loads(body)
        self.answers.append((transport, getattr(self, operation.decode())(payload)))

    def put(self, payload: dict[str, object]) -> bytes:
        """Old image, item and log row."""
        item = payload["Item"]
        key = item["pk"]["S"].encode()  # type: ignore[index]
        old = self.database.execute("SELECT value FROM items WHERE key=?", (key,)).fetchone()
        value = orjson.dumps(item)
        self.rows.append((key, value))
        self.log.append((next(self.sequence), old and old[0], value))
        return b"{}"

    def get(self, payload: dict[str, object]) -> bytes:
        """One item by key."""
        key = payload["Key"]["pk"]["S"].encode()  # type: ignore[index]
        row = self.database.execute("SELECT value FROM items WHERE key=?", (key,)).fetchone()
        return b'{"Item":' + row[0] + b"}" if row else b"{}"

    def query(self, payload: dict[str, object]) -> bytes:
        """Ten items from a key on."""
        key = payload["ExpressionAttributeValues"][":pk"]["S"].encode()  # type: ignore[index]
        rows = self.database.execute(
            "SELECT value FROM items WHERE key>=? ORDER BY key LIMIT 10", (key,)
        ).fetchall()
        return b'{"Items":[' + b",".join(row[0] for row in rows) + b"]}"

    def flush(self) -> None:
        """One transaction, then all answers of the turn."""
        if self.rows:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.executemany("INSERT OR REPLACE INTO items VALUES(?,?)", self.rows)
            self.database.executemany("INSERT INTO log VALUES(?,?,?)", self.log)
            self.database.execute("COMMIT")
            self.rows.clear()
            self.log.clear()
        for transport, body in self.answers:
            transport.write(ANSWER % (len(body), body))
        self.answers.clear()


OPERATIONS = {b"PutItem": b"put", b"GetItem": b"get", b"Query": b"query"}


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""
        self.operation = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self.operation = OPERATIONS[value.partition(b".")[2]]

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        self.limit.execute(self.transport, self.operation, body)


async def serve(directory: str) -> None:
    """Serve until killed; the port is the first line printed."""
    limit = Limit(directory)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(limit), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(serve(sys.argv[1]))
    except ImportError:
        asyncio.run(serve(sys.argv[1]))
