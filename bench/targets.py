"""The figures that are measured, their targets and, where one is known, their limit.

Rules of this file: data only. A limit is what the same machine does without the semantics; `limit` names the
figure of `bench.limit` that is measured in the same run, so that the ratio means something on any machine.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Target:
    """One figure. Shape: `better` says which way is good; units in `unit`."""

    name: str
    unit: str
    target: float | None
    better: Literal["higher", "lower"] = "higher"
    limit: str | None = None


TARGETS = (
    Target("PutItem, 16 connections", "/s", 11_000, limit="put"),
    Target("GetItem, 16 connections", "/s", 20_000, limit="get"),
    Target("UpdateItem, 16 connections", "/s", 8_000, limit="put"),
    Target("Query of 10 items, 16 connections", "/s", 12_000, limit="query"),
    Target("PutItem, 1 connection", "/s", None, limit="put, 1 connection"),
    Target("GetItem, 1 connection", "/s", None, limit="get, 1 connection"),
    Target("PutItem, --sync full, 16 connections", "/s", 5_000),
    Target("PutItem with checksums, against without", "×", 1.05, "lower"),
    Target("PutItem with checksums, 1 connection", "×", 1.05, "lower"),
    Target("GetItem with checksums, against without", "×", 1.05, "lower"),
    Target("GetRecords over HTTP", "records/s", 50_000),
    Target("longest stall", "ms", 100, "lower"),
    Target("a healthy client beside the worst requests", "/s", None),
    Target("PutItem beside 1,000 tables, against none", "×", 1.3, "lower"),
    Target("start with 1,000 tables, against none", "×", 1.3, "lower"),
    Target("PutItem at 1,000,000 items, against 10,000", "×", 1.3, "lower"),
    Target("GetItem at 1,000,000 items, against 10,000", "×", 1.3, "lower"),
    Target("memory after 1,000,000 items", "MiB", 150, "lower"),
    Target("put returned → handler called, p50", "ms", 3, "lower"),
    Target("put returned → handler called, p99", "ms", 15, "lower"),
    Target("PutRecords of 500 records of 1 KB", "records/s", None),
    Target("GetRecords of 5,000 records of 1 KB", "records/s", None),
    Target("PutRecords of 500 records of 1 KB, against moto", "×", 5),
    Target("GetRecords of 5,000 records of 1 KB, against moto", "×", 5),
    Target("fan-out to five consumers of 2 MB/s each, all together", "MB/s", 10),
    Target("fan-out, put → event, p50", "ms", 10, "lower"),
    Target("fan-out, put → event, p99", "ms", 50, "lower"),
    Target("delivery through one mapping", "records/s", 100_000, limit="decode and call"),
    Target("delivery with a filter of three tests", "records/s", 60_000, limit="decode, filter and call"),
    Target("three mappings on one read", "records/s each", None, limit="delivery through one mapping"),
    Target("a mapping beside a slow one", "records/s", None, limit="delivery through one mapping"),
    Target("ten hot items, 1 ms each, 100 beside each other", "records/s", 7_000, limit="ten sleepers"),
    Target(
        "messages to SQS that throttles a tenth",
        "/s",
        None,
        limit="messages to SQS that throttles a tenth, granted",
    ),
    Target("SQS that throttles a tenth, of what it grants", "%", 70),
    Target("changes into DuckDB", "rows/s", None, limit="raw COPY into DuckDB"),
    Target("changes into DuckDB, of a raw COPY", "%", 40),
    Target("changes into DuckDB, of a raw COPY all rows at once", "%", None),
    Target("memory of changes into DuckDB", "MiB", 50, "lower"),
    Target("changes into PostgreSQL", "rows/s", None, limit="raw COPY into PostgreSQL"),
    Target("changes into PostgreSQL, of a raw COPY", "%", 40),
    Target("changes into PostgreSQL, of a raw COPY of bytes", "%", None),
    Target("memory of changes into PostgreSQL", "MiB", 50, "lower"),
    Target("changes of flights into a journal", "/s", None, limit="raw pyarrow write of the same rows"),
    Target("changes of flights into a journal, of a raw pyarrow write", "%", 50),
    Target("PutItem while it is archived", "/s", None, limit="PutItem of the same app without an archive"),
    Target("PutItem while it is archived, of without", "%", 85),
    Target("bytes of a change of flights", "bytes", None, "lower"),
    Target("bytes of a change of flights, merged", "bytes", 60, "lower"),
    Target("history of a key", "ms", None, "lower"),
    Target("history of a key, merged", "ms", 60, "lower"),
    Target("the whole table as of a moment, of DuckDB's own fold", "×", 2, "lower"),
    Target("the whole table as of a moment, merged, of DuckDB's own fold", "×", 2, "lower"),
    Target("tailrace history of a key, cold", "s", None, "lower"),
    Target("changes into a Parquet log", "rows/s", None, limit="raw COPY to Parquet"),
    Target("changes into a Parquet log, of a raw COPY", "%", 40),
    Target("changes into a Parquet log, of a raw COPY of rows in memory", "%", None),
    Target("changes into a Parquet lake", "rows/s", None, limit="raw COPY to Parquet"),
    Target("changes into a Parquet lake, of a raw COPY", "%", 40),
    Target("changes into a Parquet lake, of a raw COPY of rows in memory", "%", None),
    Target("changes of nested items into a Parquet log, of a raw COPY", "%", None),
    Target("changes of nested items into a Parquet log, of a raw COPY of rows in memory", "%", None),
    Target("changes of nested items into a Parquet lake, of a raw COPY", "%", None),
    Target("changes of nested items into a Parquet lake, of a raw COPY of rows in memory", "%", None),
    Target("memory of changes into Parquet", "MiB", 50, "lower"),
    Target("state: write units to begin with 1,000 shards", "units", None, "lower"),
    Target("state: write units a minute for 1,000 idle shards", "units", None, "lower"),
    Target("state: write units for 1,000 changes with once", "units", None, "lower"),
    Target("state: partitions that were written to", "", None),
    Target("state: share of the busiest partition", "%", None, "lower"),
    Target("state: changes a second until AWS throttles that partition", "/s", None),
    Target("a plan: drawing a million changes", "s", None, "lower"),
    Target("a plan over a million changes, on Lambda", "s", 10, "lower"),
    Target("a plan over a million changes, a call each", "s", None, "lower"),
    Target("functions in processes", "records/s", 40_000, limit="decode and call"),
    Target("eight shards at AWS's pace", "records/s", None),
    Target("decode pages and call", "records/CPU s", None),
    Target("one worker, eight shards over HTTP", "records/s", 30_000, limit="eight shards at AWS's pace"),
    Target(
        "one worker, records a processor second over HTTP",
        "records/CPU s",
        None,
        limit="decode pages and call",
    ),
    Target("one worker, a thousand records over HTTP", "CPU s", None, "lower"),
    Target("two workers, eight shards over HTTP", "records/s", None, limit="eight shards at AWS's pace"),
    Target("two workers, a thousand records over HTTP", "CPU s", None, "lower"),
    Target("two workers' processor time, against one", "×", 1.15, "lower"),
    Target("boto3 PutItem", "/CPU s", None),
    Target("our client PutItem", "/CPU s", None, limit="boto3 PutItem"),
    Target("our client PutItem, against boto3", "×", 5),
    Target("boto3 GetItem", "/CPU s", None),
    Target("our client GetItem", "/CPU s", None, limit="boto3 GetItem"),
    Target("our client GetItem, against boto3", "×", 5),
    Target("boto3's TypeDeserializer", "items/s", None),
    Target("an item as plain values", "items/s", None),
    Target("an item as its class", "items/s", None, limit="boto3's TypeDeserializer"),
    Target("an instance as its item", "items/s", None),
    Target("raw batches that read every item", "records/s", None),
    Target("typed batches that read every item", "records/s", None, limit="raw batches that read every item"),
    Target(
        "typed single changes with a predicate", "records/s", None, limit="raw batches that read every item"
    ),
    Target("start of serve to the first answer", "s", 0.35, "lower"),
    Target("import tailrace", "ms", 60, "lower"),
    Target("start of a test world", "ms", 50, "lower"),
    Target("simulation", "steps/s", 20_000),
)
BY_NAME = {target.name: target for target in TARGETS}
MISSED_BELOW = 0.8


def ratio(target: Target, figure: float) -> float | None:
    """How much of its target a figure reaches: 1 is the target, more is better.

    >>> ratio(BY_NAME["import tailrace"], 30)
    2.0
    """
    if target.target is None or not figure:
        return None
    return figure / target.target if target.better == "higher" else target.target / figure


def is_missed(target: Target, figure: float) -> bool:
    """Whether a figure is below 80 % of its target, and so needs its profile in an ADR."""
    reached = ratio(target, figure)
    return reached is not None and reached < MISSED_BELOW
