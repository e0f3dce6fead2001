"""The cluster in memory on a free port of loopback, and what networks and clusters do to its clients.

    with SearchServer() as server:
        server.on("_bulk", LostAnswer(), calls=[2])

Theory of operation: a rule counts the requests whose path ends as it says, from 1 on, and does its fault to
the calls that it names; the first rule that fits is used.
Rules of this file: a thread a connection; nothing is left to chance. It answers as OpenSearch, or with
`product="elasticsearch"` as that. It is ended by leaving the block.
"""

import sys
import threading
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from msgspec import Struct

from tailrace.testing.search.cluster import SearchCluster
from tailrace.testing.search.types import SearchError

HOST: Final = "127.0.0.1"
MOST_BYTES: Final = 100 * 1024 * 1024
"""`http.max_content_length`."""


class RefusedRequest(Struct, frozen=True):
    """The request is answered with this status, and nothing is done."""

    status: int
    body: bytes = b""
    retry_after: str = ""


class LostRequest(Struct, frozen=True):
    """The connection is closed before anything is done."""


class LostAnswer(Struct, frozen=True):
    """It is done, and the connection is closed before the answer."""


class CutAnswer(Struct, frozen=True):
    """It is done, and only so many bytes are told as if they were the whole answer."""

    sent: int


class MissingShards(Struct, frozen=True):
    """One of the shards does not answer: the answer says so, and has less in it."""


SearchFault: TypeAlias = RefusedRequest | LostRequest | LostAnswer | CutAnswer | MissingShards


class _Rule:
    def __init__(self, end: str, fault: SearchFault, calls: Collection[int] | None) -> None:
        self.end = end
        self.fault = fault
        self.calls = calls
        self.seen = 0

    def fault_of(self, path: str) -> SearchFault | None:
        if not path.endswith(self.end):
            return None
        self.seen += 1
        return self.fault if self.calls is None or self.seen in self.calls else None


class SearchServer:
    """A cluster that answers. Shape: `authorization` is the header that every request must have, where one
    is set; `most_bytes` the largest body. With the cluster and the port of one that was stopped it is
    that one, restarted.
    """

    def __init__(
        self, cluster: SearchCluster | None = None, *, product: str = "opensearch", port: int = 0
    ) -> None:
        self.cluster = SearchCluster() if cluster is None else cluster
        self.product = product
        self.authorization: str | None = None
        self.most_bytes = MOST_BYTES
        self.headers: list[dict[str, str]] = []
        """Those of every request, names in lower case."""
        self._rules: list[_Rule] = []
        handler = type("Handler", (_Handler,), {"server_of_requests": self})
        self._http = _Http((HOST, port), handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, name="search server", daemon=True
        )
        self.port = int(self._http.server_address[1])
        self.url = f"http://{HOST}:{self.port}"

    def start(self) -> Self:
        """Answer from now on. Returns: itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer nothing more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def on(self, end: str, fault: SearchFault, calls: Collection[int] | None = None) -> None:
        """Do this to requests whose path ends so; to the calls with these numbers, or to all."""
        self._rules.append(_Rule(end, fault, calls))

    def off(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def fault_of(self, path: str) -> SearchFault | None:
        """What is done to this request, which is counted by it."""
        with self.cluster.lock:
            faults = [rule.fault_of(path) for rule in self._rules]
        return next((fault for fault in faults if fault is not None), None)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any] | None]:
        """Do what is asked. Raises: SearchError."""
        parts = urlsplit(target)
        path = [unquote(name) for name in parts.path.strip("/").split("/") if name]
        options = {name: given[0] for name, given in parse_qs(parts.query, keep_blank_values=True).items()}
        with self.cluster.lock:
            self.cluster.requests.append((method, parts.path))
            members = self._answered(method, path, options, body)
            if "refresh" in options and options["refresh"] != "false" and path[:-1]:
                self.cluster.refresh(path[0])
            return members

    def _answered(
        self, method: str, path: list[str], options: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any] | None]:
        cluster = self.cluster
        read: dict[str, Any] = {}
        if body and path[-1:] != ["_bulk"]:
            read = orjson.loads(body)
        match (method, path):
            case (_, []):
                return 200, self._about()
            case ("POST", ["_aliases"]):
                return 200, cluster.alias(read["actions"])
            case ("POST" | "PUT", ["_bulk"]):
                return 200, cluster.bulk("", body)
            case ("PUT", [name]):
                return 200, cluster.create(name, read)
            case ("DELETE", [name]):
                return 200, cluster.delete_index(name)
            case ("HEAD", [name]):
                cluster.indices_of(name)
                return 200, None
            case ("GET", [name, ("_mapping" | "_alias" | "_settings") as about]):
                return 200, {own: _described(index, about) for own, index, _ in cluster.indices_of(name)}
            case ("PUT" | "POST", [name, "_mapping"]):
                return 200, cluster.put_mapping(name, read)
            case ("PUT", [name, "_settings"]):
                return 200, cluster.put_settings(name, read)
            case (_, [name, "_refresh"]):
                return 200, cluster.refresh(name)
            case ("POST" | "PUT", [name, "_bulk"]):
                return 200, cluster.bulk(name, body)
            case (_, [name, "_mget"]):
                return 200, cluster.mget(name, read)
            case (_, [name, "_search"]):
                return 200, cluster.search(name, {"size": int(options.get("size", 10)), **read})
            case (_, [name, "_count"]):
                return 200, cluster.count(name, read)
            case ("POST", [name, "_delete_by_query"]):
                return 200, cluster.delete_by_query(name, read)
            case ("GET" | "HEAD", [name, "_doc", id]):
                document = cluster.get(name, id)
                return (200 if document["found"] else 404), document
        words = f"this cluster in memory does not know {method} /{'/'.join(path)}"
        raise SearchError(400, "illegal_argument_exception", words)

    def _about(self) -> dict[str, Any]:
        is_open = self.product == "opensearch"
        version = {"number": "3.2.0", "distribution": "opensearch"} if is_open else {"number": "9.1.0"}
        return {"name": "memory", "cluster_name": "memory", "version": version, "tagline": "in memory"}


def _described(index: Any, about: str) -> dict[str, Any]:
    if about == "_mapping":
        return {"mappings": index.mapping}
    return {"aliases": index.aliases} if about == "_alias" else {"settings": {"index": index.settings}}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    """An answer leaves in one piece: in two, each would wait for the client's acknowledgement."""
    server_of_requests: ClassVar[SearchServer]

    def __getattr__(self, name: str) -> Callable[[], None]:
        """One method answers to every verb: `do_GET`, `do_POST` and so on."""
        if name.startswith("do_"):
            return self.take
        raise AttributeError(name)

    def take(self) -> None:
        """Answer one request."""
        server = self.server_of_requests
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        server.headers.append({name.lower(): value for name, value in self.headers.items()})
        path = urlsplit(self.path).path
        fault = server.fault_of(path)
        if isinstance(fault, LostRequest):
            self.close_connection = True
            return
        status, members = self._members(server, fault, body)
        if isinstance(fault, LostAnswer):
            self.close_connection = True
            return
        content = members if isinstance(members, bytes) else b"" if members is None else orjson.dumps(members)
        if isinstance(fault, CutAnswer):
            content = content[: fault.sent]
        retry_after = fault.retry_after if isinstance(fault, RefusedRequest) else ""
        self._send(status, content, retry_after)

    def _members(
        self, server: SearchServer, fault: SearchFault | None, body: bytes
    ) -> tuple[int, dict[str, Any] | bytes | None]:
        if isinstance(fault, RefusedRequest):
            return fault.status, fault.body
        if server.authorization not in (None, self.headers.get("authorization")):
            error = SearchError(
                401, "security_exception", "missing authentication credentials for REST request"
            )
            return 401, {"error": error.members, "status": 401}
        if len(body) > server.most_bytes:
            return 413, b""
        try:
            status, members = server.answer(self.command, self.path, body)
        except SearchError as error:
            return error.status, {"error": error.members, "status": error.status}
        except (ValueError, KeyError, TypeError) as error:
            words = f"{type(error).__name__}: {error}"
            return 400, {"error": {"type": "parse_exception", "reason": words}, "status": 400}
        if isinstance(fault, MissingShards) and members is not None:
            members["_shards"] = {"total": 2, "successful": 1, "failed": 1}
            members.get("hits", {})["hits"] = []
        return status, members

    def _send(self, status: int, content: bytes, retry_after: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(content)))
        if self.server_of_requests.product == "elasticsearch":
            self.send_header("x-elastic-product", "Elasticsearch")
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""
