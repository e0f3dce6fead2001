"""What readers see: DuckDB by the question, pyarrow by `read` and by its own dataset, while columns grow.

Rules of this file: what must be read is computed from the items alone.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.columns.entities import EntityRules
from tailrace.errors import SettingsError
from tailrace.ports import Failed, RecordBatch
from tailrace.sinks.lake import parquet
from tailrace.sinks.lake.folding import digests_of, newest_rows
from tailrace.sinks.lake.layout import columns_from
from tailrace.sinks.lake.rows import OP, VERSION, digits_of
from tailrace.sinks.lake.sink import ParquetLake, ParquetLog
from tailrace.sinks.law import newest
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.version import Version
from tailrace.testing.contracts.mirror import gone, put
from tailrace.testing.contracts.sink import START_MS, STREAM
from tailrace.values.types import AttributeValue, Item

FORMS = (ParquetLake, ParquetLog)


def change(key: str, sequence: int, created_ms: int = START_MS, **attributes: AttributeValue) -> ChangeRecord:
    item: Item = {"pk": {"S": key}, **attributes}
    return change_record(
        sequence=sequence,
        shard=1,
        created_ms=created_ms,
        partition=1,
        key=key.encode(),
        keys={"pk": {"S": key}},
        old=None,
        new=orjson.dumps(item),
        size_bytes=9,
    )


def batch(records: Sequence[ChangeRecord], **more: Any) -> RecordBatch:
    return RecordBatch(records, "orders", STREAM, "shard-1", **more)


def written(sink: Any, *batches: Sequence[ChangeRecord], compacted: bool = False) -> Any:
    """The sink, after these batches."""

    async def run() -> None:
        await sink.open(ManualClock())
        for records in batches:
            await sink.write(batch(records))
        await sink.close()

    asyncio.run(run())
    if compacted:
        sink.compact()
    return sink


NUMBERS = ["7", "-9007199254740993", "1.5", "0.00001", "12345678901234567890.25", "0." + "0" * 36 + "1"]
WIDE = [*NUMBERS, "9" * 38, "1" + "0" * 60, "0." + "0" * 90 + "17"]


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("texts", [NUMBERS, NUMBERS[::-1], WIDE, WIDE[::-1]])
@pytest.mark.parametrize("form", FORMS)
def test_a_number_that_needs_more_is_read_with_all_its_digits(
    tmp_path: Path, form: type[Any], texts: list[str], compacted: bool
) -> None:
    """A file each, so that files of several types are read together."""
    batches = [[change(f"k{place}", place + 1, n={"N": text})] for place, text in enumerate(texts)]
    lake = written(form(tmp_path, "orders"), *batches, compacted=compacted)
    expected = {f"k{place}": Decimal(text) for place, text in enumerate(texts)}
    read = {row["pk"]: Decimal(row["n"]) for row in lake.read().to_pylist()}
    assert read == expected
    asked = dict(duckdb.sql(f"SELECT pk, n FROM ({lake.sql()})").fetchall())
    assert {key: Decimal(value) for key, value in asked.items()} == expected


@pytest.mark.parametrize("texts", [NUMBERS[:4], NUMBERS[3::-1]])
def test_pyarrows_own_dataset_reads_int64_and_decimals_together(tmp_path: Path, texts: list[str]) -> None:
    batches = [[change(f"k{place}", place + 1, n={"N": text})] for place, text in enumerate(texts)]
    lake = written(ParquetLake(tmp_path, "orders"), *batches)
    dataset = ds.dataset(lake.files(), schema=lake.schema())
    rows = dataset.to_table(columns=["pk", "n"]).to_pylist()
    assert {row["pk"]: row["n"] for row in rows} == {
        f"k{place}": Decimal(text) for place, text in enumerate(texts)
    }


NUMBER = st.builds(
    lambda digits, scale: digits_of(Decimal(digits).scaleb(-scale)),
    st.integers(-(10**20), 10**20),
    st.integers(0, 30),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(NUMBER, min_size=1, max_size=3), min_size=1, max_size=5), st.integers(0, 4))
def test_files_of_all_mixtures_of_numbers_are_exact(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]], compacted_after: int
) -> None:
    place = tmp_path_factory.mktemp("lake")
    lake, number, expected = ParquetLake(place, "orders", buckets=1), 0, {}
    for turn, texts in enumerate(batches):
        records = []
        for text in texts:
            number += 1
            expected[f"k{number}"] = Decimal(text)
            records.append(change(f"k{number}", number, n={"N": text}))
        written(lake, records, compacted=turn == compacted_after)
    assert {row["pk"]: Decimal(row["n"]) for row in lake.read().to_pylist()} == expected
    asked = duckdb.sql(f"SELECT pk, n FROM ({lake.sql()})").fetchall()
    assert {key: Decimal(value) for key, value in asked} == expected


def test_columns_come_in_mid_stream_and_what_conflicts_stands_beside(tmp_path: Path) -> None:
    nul, long = "a\0b", "x" * 70_000
    lake = written(
        ParquetLake(tmp_path, "orders"),
        [change("a", 1, n={"N": "1"}, Id={"S": "A"})],
        [change("b", 2, n={"S": "one"}, id={"S": nul}, deep={"M": {"x": {"L": [{"N": "1.50"}]}}})],
        [change("c", 3, n={"NULL": True}, flag={"BOOL": False}, raw={"B": "AAEC"}, text={"S": long})],
    )
    for compact in (False, True):
        if compact:
            lake.compact()
        rows = {row["pk"]: row for row in lake.read().to_pylist()}
        assert rows["a"]["n"] == 1
        assert (rows["b"]["n"], orjson.loads(rows["b"]["_extra"])) == (None, {"n": {"S": "one"}})
        assert rows["b"]["deep"] == '{"x":[1.5]}' or orjson.loads(rows["b"]["deep"]) == {"x": [1.5]}
        assert (rows["c"]["flag"], rows["c"]["raw"], rows["c"]["text"]) == (False, b"\0\1\2", long)
        names = [name for name in rows["b"] if name.casefold().startswith("id")]
        assert len({name.casefold() for name in names}) == len(names) == 2
        assert nul in [rows["b"][name] for name in names]
        assert duckdb.sql(f"SELECT count(*) FROM ({lake.sql()})").fetchall() == [(3,)]


def test_the_question_shows_what_read_shows_after_changes_and_deletions(tmp_path: Path) -> None:
    lake = written(
        ParquetLake(tmp_path, "orders", buckets=2),
        [put("a", 1, (1, 1)), put("b", 1, (1, 2)), put("c", 1, (1, 3))],
        [gone("b", (1, 5)), put("a", 2, (1, 4))],
    )
    for _ in range(2):
        assert duckdb.sql(f"SELECT pk, n FROM ({lake.sql()}) ORDER BY pk").fetchall() == [("a", 2), ("c", 1)]
        lake.compact()
    log = written(ParquetLog(tmp_path, "log"), [put("a", 1, (1, 1)), gone("a", (1, 2))])
    assert duckdb.sql(f"SELECT count(*) FROM ({log.sql()})").fetchall() == [(2,)]
    assert duckdb.sql(f"SELECT count(*) FROM ({log.sql(newest=True)})").fetchall() == [(0,)]


def test_an_empty_table_is_read_as_empty(tmp_path: Path) -> None:
    lake = written(ParquetLake(tmp_path, "orders"))
    assert (lake.files(), lake.read().num_rows) == ([], 0)
    with pytest.raises(SettingsError, match="has no rows yet"):
        lake.sql()
    emptied = written(ParquetLog(tmp_path, "gone"), [gone("a", (1, 1))])
    assert emptied.read(newest=True).num_rows == 0


# ---- layout ------------------------------------------------------------------------------------------------


def test_a_log_lies_in_partitions(tmp_path: Path) -> None:
    day_ms = 86_400_000
    records = [
        change("a", 1, country={"S": "NL"}),
        change("b", 2, START_MS + day_ms - 1, country={"S": "NL"}),
        change("c", 3, START_MS + day_ms, country={"S": "a/b"}),
        change("d", 4, START_MS - 1),
    ]
    log = written(ParquetLog(tmp_path, "orders", partition_by=["day", "country"]), records)
    folders = sorted({Path(name).parent.relative_to(tmp_path).as_posix() for name in log.files()})
    assert folders == [
        "orders/data/day=2025-12-31/by_country=none",
        "orders/data/day=2026-01-01/by_country=NL",
        "orders/data/day=2026-01-02/by_country=a-b-c14cddc0",
    ]
    glob = f"{tmp_path}/orders/data/**/*.parquet"
    asked = duckdb.sql(f"SELECT day::VARCHAR, count(*) FROM read_parquet('{glob}') GROUP BY ALL ORDER BY ALL")
    assert asked.fetchall() == [("2025-12-31", 1), ("2026-01-01", 2), ("2026-01-02", 1)]


def test_entities_have_folders_and_columns_of_their_own(tmp_path: Path) -> None:
    rules = EntityRules("shop", ("pk",), attribute="type")
    first = change("a", 1, type={"S": "Order"}, total={"N": "5"})
    moved = replace(
        change("a", 2, type={"S": "Refund"}, reason={"S": "late"}), event_name="MODIFY", old=first.new
    )
    other = change("b", 3, type={"S": "Order"}, total={"S": "none"})
    lake = written(ParquetLake(tmp_path, "shop", entities=rules), [first, other], [moved])
    for _ in range(2):
        assert [row["pk"] for row in lake.read("Order").to_pylist()] == ["b"]
        assert [row["reason"] for row in lake.read("Refund").to_pylist()] == ["late"]
        lake.compact()
    with pytest.raises(SettingsError, match=r"no entity None(.|\n)*Order, Refund"):
        lake.read()

    async def rows() -> list[tuple[bytes, bool]]:
        await lake.open(ManualClock())
        return [(row.key, row.is_deleted) for row in await lake.rows(b"", 10)]

    assert asyncio.run(rows()) == [(b"a", False), (b"b", False)]


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [
        (ParquetLake("p", "t"), ParquetLake("p", "t", buckets=8), "buckets=16, this sink has 8"),
        (ParquetLake("p", "t"), ParquetLog("p", "t"), "form='merged', this sink has 'log'"),
        (ParquetLog("p", "t"), ParquetLog("p", "t", partition_by=[]), "partition_by="),
    ],
)
def test_a_table_that_was_made_with_other_settings_is_refused(made: Any, asked: Any, words: str) -> None:
    made.archive = asked.archive = MemoryArchive()
    written(made)
    with pytest.raises(SettingsError, match=words):
        written(asked)
    with pytest.raises(SettingsError, match=words):
        asked.files()


@pytest.mark.parametrize(
    "declare",
    [
        lambda: ParquetLake("p", "a b"),
        lambda: ParquetLake("p", "t", buckets=0),
        lambda: ParquetLake("p", "t", buckets=4_097),
        lambda: ParquetLake("p", "t", compact_files=1),
        lambda: ParquetLog("p", "t", partition_by="day"),
        lambda: ParquetLog("p", "t", partition_by=["day", "day"]),
        lambda: ParquetLake("s3://", "t").files(),
    ],
)
def test_settings_that_mean_nothing_are_refused_in_words(declare: Any) -> None:
    with pytest.raises(SettingsError, match=r"\w+"):
        declare()


def test_a_transform_that_makes_two_rows_of_a_change_is_for_logs() -> None:
    values = [{"n": 1}, {"n": 2}]
    records = [change("a", 1), change("a", 1)]

    async def run(sink: Any) -> Any:
        await sink.open(ManualClock())
        return await sink.write(batch(records, values=values))

    refused = asyncio.run(run(ParquetLake("p", "t", archive=MemoryArchive())))
    assert isinstance(refused, Failed)
    assert "one row an item" in refused.failures[1].error
    log = ParquetLog("p", "t", archive=MemoryArchive())
    asyncio.run(run(log))
    assert [row["n"] for row in log.read().to_pylist()] == [1, 2]


def test_files_are_cut_near_their_target(tmp_path: Path) -> None:
    records = [change(f"k{n:05d}", n + 1, text={"S": f"{n * 7919:x}" * 20}) for n in range(4_000)]
    lake = written(ParquetLake(tmp_path, "orders", buckets=1, target_bytes=20_000), records, records[:1])
    lake.compact()
    sizes = [Path(name).stat().st_size for name in lake.files()]
    assert len(sizes) > 1
    assert all(size <= 30_000 for size in sizes), sizes
    assert lake.read().num_rows == 4_000

    async def keys() -> list[bytes]:
        await lake.open(ManualClock())
        page, all_keys = list(await lake.rows(b"", 700)), []
        while page:
            all_keys += [row.key for row in page]
            page = list(await lake.rows(all_keys[-1], 700))
        return all_keys

    assert asyncio.run(keys()) == [f"k{n:05d}".encode() for n in range(4_000)]


# ---- folding -----------------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 5), st.booleans()), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(CHANGES, st.integers(1, 4))
def test_folding_is_the_law(changes: list[tuple[str, int, int, bool]], pieces: int) -> None:
    records = [
        gone(key, (generation, sequence)) if is_gone else put(key, place, (generation, sequence))
        for place, (key, generation, sequence, is_gone) in enumerate(changes)
    ]
    lake = ParquetLog("p", "t", archive=MemoryArchive(), partition_by=[])
    size = max(1, len(records) // pieces)
    written(lake, *(records[start : start + size] for start in range(0, len(records), size)))
    expected = [
        (records[place].key, records[place].version, records[place].event_name == "REMOVE")
        for place in newest(records)
    ]
    if not records:
        return
    rows = lake.read()
    columns = asyncio.run(_columns(lake))
    folded = newest_rows([rows.slice(place, 1) for place in range(rows.num_rows)], columns)
    seen = zip(folded.column("tailrace_key").to_pylist(), folded.column(VERSION).to_pylist(),
               folded.column(OP).to_pylist(), strict=True)  # fmt: skip
    assert [(key, Version.from_packed(version), op == "d") for key, version, op in seen] == expected


async def _columns(lake: Any) -> Any:
    await lake.open(ManualClock())
    notes = (await lake._opened.table.manifest()).notes
    return columns_from(notes["columns/t"])


def test_a_digest_is_the_same_when_its_column_has_grown(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path, "orders", buckets=1)
    digests = []
    for number, text in enumerate(("5", "1.25", "1" * 38 + "00"), 1):
        written(lake, [change(f"k{number}", number, n={"N": text})], compacted=number == 2)

        async def first() -> bytes:
            await lake.open(ManualClock())
            return (await lake.rows(b"", 1))[0].digest

        digests.append(asyncio.run(first()))
        asyncio.run(_closed(lake))
    assert len(set(digests)) == 1
    assert pa.types.is_string(lake.read().schema.field("n").type)


async def _closed(lake: Any) -> None:
    await lake.close()


def test_digests_of_nothing_are_none() -> None:
    lake = written(ParquetLog("p", "t", archive=MemoryArchive()), [put("a", 1, (1, 1))])
    columns = asyncio.run(_columns(lake))
    assert list(digests_of(lake.read().slice(0, 0), columns)) == []


def test_files_are_joined_by_groups_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "SCAN_ROWS", 2)
    batches = [[change(f"o{number}", number, n={"N": str(number)})] for number in range(1, 8)]
    batches[3][0] = change("o4", 4, n={"N": "0.5"}, late={"S": "x"})
    log = written(ParquetLog(tmp_path, "orders"), *batches)
    before = log.read().to_pylist()
    for _ in range(2):  # the second time a file with several groups is joined
        log.compact()
        (file,) = log.files()
        assert pq.ParquetFile(file).num_row_groups == -(-len(before) // 2)
        assert log.read().to_pylist() == before
        written(log, [change("o9", 9 + len(before), n={"N": "9"})])
        before = log.read().to_pylist()
