"""What an event source mapping reads: the stream of a table, a data stream, or a data stream as one of its
consumers.

Theory of operation: a mapping names an ARN. Behind it stand a name that rows use, a stream with shards, and
the position in each shard where the mapping begins; these three are all that differs between the kinds.
Rules of this file: nothing is kept; each answer is as of this moment. Called by service.py and the
operations. Texts that no source shows are marked [U]. Source: semantics §2.1, §2.2.
"""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from tailrace.app.table import Table
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.catalog import DataStreamState
from tailrace.errors import ApiError, invalid_parameter
from tailrace.ports import Shard, StreamRef
from tailrace.sources.data_streams import DataStreamPages, reference
from tailrace.streams.arns import parse_stream_arn
from tailrace.streams.iterators import IteratorStart
from tailrace.streams.kinesis.names import (
    is_data_stream,
    read_consumer_arn,
    read_data_stream_arn,
    source_name,
    stream_arn_of,
)
from tailrace.streams.kinesis.plain import PARTITION_KEY
from tailrace.streams.kinesis.sequence_numbers import behind_own

Position: TypeAlias = Literal["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"]
UNRECOGNIZED: Final = "Unrecognized event source."
NOT_FOUND: Final = "Stream not found: {0}"
NO_CONSUMER: Final = "Stream consumer not found: {0}"
"""[U]"""
NOT_ACTIVE: Final = "Stream consumer {0} is not in the ACTIVE state."
"""[U]"""


class Begin(Struct, frozen=True):
    """Where a mapping begins. Units: at_ms since the epoch, of AT_TIMESTAMP alone."""

    position: Position
    at_ms: int = 0


def check_kind(arn: str) -> None:
    """Require the ARN of a stream or a consumer. Raises: ApiError."""
    is_table = arn.startswith("arn:aws:dynamodb:") and "/stream/" in arn
    if not (is_table or read_data_stream_arn(arn) or read_consumer_arn(arn)):
        raise invalid_parameter(UNRECOGNIZED)


def require_source(engine: Engine, arn: str) -> StreamRef:
    """The stream of a new mapping, which is on. Raises: ApiError."""
    if is_data_stream(arn):
        stream = _data_stream(engine, arn)
        if stream is None:
            raise invalid_parameter(NOT_FOUND.format(stream_arn_of(arn)))
        _check_consumer(engine, arn)
        return reference(stream)
    try:
        there = engine.stream_of(parse_stream_arn(arn).table)
    except ApiError:
        there = None
    if there is None or there.arn != arn:
        raise invalid_parameter(NOT_FOUND.format(arn))
    return there


def _check_consumer(engine: Engine, arn: str) -> None:
    if read_consumer_arn(arn) is None:
        return
    try:
        engine.kinesis.consumers.subscribing(arn)
    except ApiError as error:
        is_there = error.code == "ResourceInUseException"
        raise invalid_parameter((NOT_ACTIVE if is_there else NO_CONSUMER).format(arn)) from error


def problem_of(engine: Engine, arn: str) -> str:
    """Why nothing more comes from a mapping's source; "" while something may."""
    if is_data_stream(arn):
        if _data_stream(engine, arn) is None:
            return NOT_FOUND.format(stream_arn_of(arn))
        try:
            _check_consumer(engine, arn)
        except ApiError as error:
            return str(error.message)
        return ""
    try:
        status = engine.describe_stream(arn, 1)["StreamStatus"]
    except ApiError:
        return NOT_FOUND.format(arn)
    return "" if status in ("ENABLED", "ENABLING") else f"Stream is disabled: {arn}"


def is_readable(engine: Engine, arn: str) -> bool:
    """Whether there is something to read, if only what a stream that has ended still holds."""
    if is_data_stream(arn):
        return _data_stream(engine, arn) is not None
    try:
        engine.stream_named(arn)
    except ApiError:
        return False
    return True


def table_behind(engine: Engine, arn: str) -> Table:
    """What the worker follows: a table as its stream knows it, as it may be gone or another have its name; a
    data stream by its name as a source. Raises: ApiError.
    """
    if is_data_stream(arn):
        return Table(source_of(arn), PARTITION_KEY, stream="NEW_IMAGE", only_stream=arn)
    stream = engine.describe_stream(arn, 1)
    names: dict[str, str] = {element["KeyType"]: element["AttributeName"] for element in stream["KeySchema"]}
    return Table(
        engine.stream_named(arn).table,
        names["HASH"],
        names.get("RANGE"),
        stream=stream["StreamViewType"],
        only_stream=arn,
    )


def source_of(arn: str) -> str:
    """What rows call a data stream, by its ARN or a consumer's."""
    parts = read_data_stream_arn(stream_arn_of(arn))
    assert parts is not None
    return source_name(parts.stream)


def _data_stream(engine: Engine, arn: str) -> DataStreamState | None:
    parts = read_data_stream_arn(stream_arn_of(arn))
    stream = None if parts is None else DataStreamPages(engine).stream(parts.stream)
    return None if stream is None or stream.arn != stream_arn_of(arn) else stream


def positions(engine: Engine, stream: StreamRef, begin: Begin) -> Iterator[tuple[Shard, int | None]]:
    """What a new mapping skips of each shard: up to a sequence number; None: all there is now. A shard that
    is not told is read from its oldest record.
    """
    assert begin.position in get_args(Position)
    if begin.position == "TRIM_HORIZON":
        return
    if not is_data_stream(stream.arn):
        yield from ((shard, None) for shard in engine.shards_of(stream.arn))
        return
    state = _data_stream(engine, stream.arn)
    assert state is not None
    reader = engine.kinesis.reader
    for shard in DataStreamPages(engine).shards(stream):
        if begin.position == "LATEST":
            yield shard, None
            continue
        place = reader.place(state, shard.shard_id)
        own = reader.after(place, IteratorStart("AT_TIMESTAMP", timestamp_ms=begin.at_ms))
        if own:
            yield shard, behind_own(shard.first, own)
