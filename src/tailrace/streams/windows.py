"""What one invocation of a function is told of its tumbling window, and how its event says so.

Rules of this file: values and bytes, no decision; mapping/window.py decides. The state is spliced as the JSON
text it is. Source: semantics §2.9.
"""

from typing import Final

import orjson
from msgspec import Struct

from tailrace.streams.dates import label

EMPTY_STATE: Final = b"{}"


class WindowInvoke(Struct, frozen=True):
    """One invocation's window.

    Shape:   `state` is a JSON object. The final invoke has no records; it comes early when the state has
             outgrown its limit.
    Units:   milliseconds since the epoch; the end is outside.
    """

    start_ms: int
    end_ms: int
    state: bytes = EMPTY_STATE
    is_final: bool = False
    is_early: bool = False

    @property
    def span(self) -> dict[str, str]:
        """The window as events and failure documents name it.

        >>> WindowInvoke(1_700_000_000_000, 1_700_000_010_000).span
        {'start': '2023-11-14T22:13:20Z', 'end': '2023-11-14T22:13:30Z'}
        """
        return {"start": _seconds(self.start_ms), "end": _seconds(self.end_ms)}


def in_window(event: bytes, window: WindowInvoke, shard_id: str, stream_arn: str) -> bytes:
    """An event `{"Records": [...]}` with what a function is told of its window.

    >>> invoke = WindowInvoke(0, 60_000, b'{"n":1}', is_final=True)
    >>> event = orjson.loads(in_window(b'{"Records":[]}', invoke, "shardId-1", "arn:1"))
    >>> event["window"], event["state"]
    ({'start': '1970-01-01T00:00:00Z', 'end': '1970-01-01T00:01:00Z'}, {'n': 1})
    >>> event["shardId"], event["eventSourceARN"]
    ('shardId-1', 'arn:1')
    >>> event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]
    (True, False)
    """
    return b"".join(
        (
            event[:-1],
            b',"window":',
            orjson.dumps(window.span),
            b',"state":',
            window.state,
            b',"shardId":',
            orjson.dumps(shard_id),
            b',"eventSourceARN":',
            orjson.dumps(stream_arn),
            b',"isFinalInvokeForWindow":',
            orjson.dumps(window.is_final),
            b',"isWindowTerminatedEarly":',
            orjson.dumps(window.is_early),
            b"}",
        )
    )


def _seconds(at_ms: int) -> str:
    return f"{label(at_ms)[:19]}Z"
