"""The verbs by which a command reads the engine's streams: as the past of a table is asked beside a server.

Rules of this file: they are the `LogReader` port by lines; a value is one text, JSON as msgspec writes the
port's values, for numbers and bytes of records have no place in the API's own. Nothing is kept, and a page is
small, so that nobody else waits for it. Registered by `verbs`; its client is cli/node_log.py.
Stands alone as every family of verbs does.
"""

from typing import Any, Final

import msgspec

from tailrace.errors import TailraceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.server.control import Arguments, Subject, verb
from tailrace.sources.embedded_log import EmbeddedLog

MOST: Final = 200
"""Records of one page."""
PAGE_BYTES: Final = 1024 * 1024


@verb("log.streams")
async def streams(subject: Subject, arguments: Arguments) -> object:
    """Arguments: table (None: all). Its streams, the oldest first, with those of deleted ones of its name."""
    return _text(await EmbeddedLog(subject.engine).streams(arguments.get("table")))


@verb("log.shards")
async def shards(subject: Subject, arguments: Arguments) -> object:
    """Arguments: stream. Every shard of it that can still be read, parents before children."""
    stream = _read(arguments["stream"], StreamRef)
    return _text(await EmbeddedLog(subject.engine).shards(stream))


@verb("log.read")
async def read(subject: Subject, arguments: Arguments) -> object:
    """Arguments: shard, after, limit. Durable records with sequence > after."""
    shard = _read(arguments["shard"], Shard)
    limit = min(int(arguments["limit"]), MOST)
    return _text(cut(await EmbeddedLog(subject.engine).read(shard, int(arguments["after"]), limit)))


def cut(page: ReadDone, most_bytes: int = PAGE_BYTES) -> ReadDone:
    """The first records of a page, up to so many bytes, at least one."""
    size = 0
    for place, record in enumerate(page.records):
        size += record.size_bytes
        if place and size > most_bytes:
            return ReadDone(page.records[:place], page.records[place - 1].sequence, trimmed=page.trimmed)
    return page


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _read(text: object, kind: Any) -> Any:
    try:
        return msgspec.json.decode(str(text), type=kind)
    except msgspec.MsgspecError as error:
        raise TailraceError(f"That is no {kind.__name__}: {error}.") from error
