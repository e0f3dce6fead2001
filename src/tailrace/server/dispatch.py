"""One request, from bytes to bytes: read, check, do, and put every failure into AWS's words.

Rules of this file: no I/O of its own and no commit: whoever calls it flushes the engine's group before an answer leaves.
What is not an `ApiError` is logged here, once, and answered 500. Called by `server.connection` and `server.inprocess`.
"""

import logging
from typing import TYPE_CHECKING, NamedTuple

import orjson

from tailrace.errors import CORAL, ApiError
from tailrace.server.registry import find_operations
from tailrace.server.wire import Headers, error_body, internal_server_error, read_call
from tailrace.streams.ancestry import TRACE_HEADER, ancestry_of
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine

_log = logging.getLogger("tailrace.server")


class Reply(NamedTuple):
    """Status and body of an answer."""

    status: int
    body: bytes


class Dispatcher:
    """Executes requests against one engine.

    Shape:   `requests` counts answers by (operation, status); what could not be told apart is under "-".
    """

    def __init__(self, engine: "Engine", reached: PointReached = pass_by) -> None:
        self.requests: dict[tuple[str, str], int] = {}
        self._engine = engine
        self._reached = reached
        self._operations = find_operations()

    def execute(self, headers: Headers, query: bytes, body: bytes) -> Reply:
        """Do what a POST asks for. Never raises; what it wrote is in the engine's pending group."""
        name = "-"
        try:
            operation, payload = read_call(headers, query, body, self._operations)
            name = operation.name
            self._reached("write.received")
            trace = headers.get(TRACE_HEADER)
            try:
                if trace is None:
                    result = operation.run(self._engine, operation.check(payload))
                else:
                    with self._engine.caused_by(ancestry_of(trace)):
                        result = operation.run(self._engine, operation.check(payload))
            except ApiError as error:
                if error.code == "ValidationException":
                    operation.check_types(payload)  # a wrong type anywhere is said before any wrong value
                raise
            answer = result if type(result) is bytes else orjson.dumps(result)
        except ApiError as error:
            self.count(name, str(error.status))
            return Reply(error.status, error_body(error))
        except RecursionError:
            # Only input can nest this deep: the walks over it are the only recursion there is.
            self.count(name, "400")
            return Reply(400, error_body(ApiError("SerializationException", None, prefix=CORAL)))
        except Exception:  # a fault in one operation must not take the connection of others with it
            _log.exception("%s failed", name)
            self.count(name, "500")
            return Reply(500, error_body(internal_server_error()))
        self.count(name, "200")
        return Reply(200, answer)

    def count(self, name: str, status: str) -> None:
        """One more answer."""
        key = (name, status)
        self.requests[key] = self.requests.get(key, 0) + 1
