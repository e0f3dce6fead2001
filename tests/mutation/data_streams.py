"""Mutants of data streams: numbers, splits and merges, what is read, retention, limits, both forms.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

SHARDS: Final = "unit/streams/kinesis/test_data_shards.py"
SCALING: Final = "unit/streams/kinesis/test_uniform_scaling.py"
RATES: Final = "unit/streams/kinesis/test_throughput.py"
ENGINE: Final = "unit/engine/kinesis/test_data_streams.py"
RECORDS: Final = "conformance/test_kinesis_records.py"
STREAMS: Final = "conformance/test_kinesis_streams.py"
SETTINGS: Final = "conformance/test_kinesis_settings.py"
ONCE: Final = "properties/test_kinesis.py"
CBOR: Final = "unit/api/test_cbor.py"

DATA_STREAMS: Final = (
    Mutant(
        "children-with-the-second-of-their-parents", "streams/kinesis/data_shards.py",
        "(parent.second + 1 for parent in parents)", "(parent.second for parent in parents)",
        "numbers of a child are not above those of its parents after two splits in one second",
        (SHARDS, STREAMS),
    ),
    Mutant(
        "a-split-that-leaves-a-hash-out", "streams/kinesis/data_shards.py",
        "HashRange(first, at - 1)", "HashRange(first, at - 2)",
        "a key belongs to no shard",
        (SHARDS,),
    ),
    Mutant(
        "a-merge-that-forgets-a-parent", "streams/kinesis/data_shards.py",
        "whole, wall_ms, (shard, adjacent)", "whole, wall_ms, (shard,)",
        "readers begin a child before one of its parents is read",
        (SHARDS, STREAMS),
    ),
    Mutant(
        "borders-moved-by-rounding", "streams/kinesis/uniform_scaling.py",
        "snapped.append(borders[place] if is_near else border)", "snapped.append(border)",
        "doubling the shards of a stream costs a split and a merge a border",
        (SCALING,),
    ),
    Mutant(
        "a-closed-shard-at-its-end-too-early", "engine/kinesis/reading.py",
        "may_end = shard.is_closed and not committer.is_pending(shard.number)", "may_end = shard.is_closed",
        "a shard is told as ended by a split that a failing commit takes back",
        (ENGINE,),
    ),
    Mutant(
        "children-before-the-end", "engine/kinesis/reading.py",
        "children=children_of(stream.document.shards, shard.index) if is_over else ()",
        "children=children_of(stream.document.shards, shard.index)",
        "consumers that follow the KCL's rule fail on a page with children that is not the last",
        (RECORDS, ONCE),
    ),
    Mutant(
        "the-last-record-of-a-page-twice", "engine/kinesis/reading.py",
        "records[-1].sequence if records else start", "records[-1].sequence - 1 if records else start",
        "each page begins with the last record of the one before",
        (RECORDS, ONCE),
    ),
    Mutant(
        "retention-a-millisecond-short", "engine/kinesis/reading.py",
        "kept_from_ms = parts.clock.now().wall_ms - document.retention_ms - parts.horizon.look()",
        "kept_from_ms = parts.clock.now().wall_ms - document.retention_ms - parts.horizon.look() + 1",
        "a record is gone before its time",
        (RECORDS,),
    ),
    Mutant(
        "what-was-gone-comes-back", "engine/kinesis/stream_settings.py",
        "shortest = min(stream.document.retention_hours, hours)", "shortest = hours",
        "a longer retention shows records that had passed the shorter one",
        (SETTINGS,),
    ),
    Mutant(
        "a-position-in-another-shard", "engine/kinesis/reading.py",
        "number.shard_index == shard.index and number.shard_second", "number.shard_second",
        "a number of one shard is a place in another one",
        (RECORDS,),
    ),
    Mutant(
        "an-iterator-that-lives-too-long", "streams/kinesis/tokens.py",
        "iterator.created_ms > ITERATOR_LIFE_MS:", "iterator.created_ms > ITERATOR_LIFE_MS + 1:",
        "what expires on AWS goes on here, and breaks there first",
        (RECORDS,),
    ),
    Mutant(
        "half-a-put-is-written", "engine/kinesis/putting.py",
        "            if size > most:", "            if size > most and not placed:",
        "a wrong entry behind a right one is taken",
        (RECORDS,),
    ),
    Mutant(
        "records-of-a-deleted-stream-stay", "engine/kinesis/catalog.py",
        "            self.drop(shard.number)", "            pass",
        "the records of deleted streams fill the disk",
        (ENGINE, STREAMS),
    ),
    Mutant(
        "a-page-that-costs-nothing", "streams/kinesis/throughput.py",
        "if size <= READ_PER_SECOND else float(-size)", "if size <= READ_PER_SECOND else self.read.left",
        "after ten mebibytes at once the next read does not wait",
        (RATES,),
    ),
    Mutant(
        "moments-in-seconds-in-cbor", "api/cbor.py",
        "            _write(out, ms)", "            _write(out, ms // 1_000)",
        "the SDKs for Java read times of 1970",
        (CBOR,),
    ),
)  # fmt: skip
