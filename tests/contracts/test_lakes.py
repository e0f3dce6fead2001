"""A lake and its log keep the contracts of sinks: over memory, over a directory; the lake those of a mirror.

Rules of this file: what a reader of the files sees is what is compared.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.ports import Mirror, Outcome, RecordBatch, TargetPosition, Transactional, Versioned
from tailrace.sinks import ParquetLake, ParquetLog
from tailrace.streams.version import Version
from tailrace.testing import check_sink
from tailrace.testing.contracts.mirror import check_mirror_sink
from tailrace.testing.contracts.transactional import check_transactional_sink
from tailrace.testing.contracts.versioned import check_versioned_sink

FORMS = (ParquetLake, ParquetLog)


def without_images(batch: RecordBatch, refused: frozenset[int]) -> RecordBatch:
    """The batch as a stream has it that carries no image of these records: a lake refuses them."""
    records = [
        replace(record, event_name="MODIFY", new=None) if record.sequence in refused else record
        for record in batch.records
    ]
    return replace(batch, records=records)


def over_memory(form: type[Any], refused: frozenset[int] = frozenset(), **settings: Any) -> Any:
    class Refusing(form):  # type: ignore[misc]
        async def write(self, batch: RecordBatch) -> Outcome:
            return await form.write(self, without_images(batch, refused))

        async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
            return await form.commit(self, without_images(batch, refused), position)

    return Refusing("memory", "contract", archive=MemoryArchive(), **settings)


def again(sink: Any) -> Any:
    """Another sink over the same archive."""
    return type(sink)(sink.place, sink.table, archive=sink.archive, compact_files=sink.compact_files)


def newest(sink: Any) -> list[dict[str, Any]]:
    rows = sink.read() if isinstance(sink, ParquetLake) else sink.read(newest=True)
    return list(rows.to_pylist())


def shown(sink: Any) -> Mapping[str, int]:
    return {row["pk"]: row["n"] for row in newest(sink)}


def versions(sink: Any) -> Mapping[str, Version]:
    return {row["pk"]: Version.from_packed(row["tailrace_version"]) for row in newest(sink)}


def arrived(sink: Any) -> Iterable[int]:
    """The sequence numbers of all rows in the files that the manifest names."""
    rows = sink._all_rows(None, is_newest=False)
    return [Version.from_packed(packed).sequence for packed in rows.column("tailrace_version").to_pylist()]


@pytest.mark.parametrize("compact_files", [3, 1_000])
def test_a_lake_keeps_the_contract_of_a_mirror(compact_files: int) -> None:
    check_mirror_sink(lambda: over_memory(ParquetLake, compact_files=compact_files), shown, again=again)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compact_files", [2, 1_000])
def test_both_keep_the_contract_of_versions(form: type[Any], compact_files: int) -> None:
    check_versioned_sink(lambda: over_memory(form, compact_files=compact_files), versions, again=again)


@pytest.mark.parametrize("form", FORMS)
def test_both_keep_the_contract_of_a_transactional_sink(form: type[Any]) -> None:
    check_transactional_sink(lambda refused: over_memory(form, refused), arrived, again=again)


def test_a_log_that_is_compacted_keeps_the_contract_of_a_transactional_sink() -> None:
    check_transactional_sink(
        lambda refused: over_memory(ParquetLog, refused, compact_files=2), arrived, again=again
    )


@pytest.mark.parametrize("form", FORMS)
def test_both_keep_the_contract_of_a_sink(form: type[Any]) -> None:
    check_sink(lambda refused: over_memory(form, refused), arrived)


def test_a_lake_in_a_directory_keeps_the_contract_of_a_mirror(tmp_path: Path) -> None:
    numbers = iter(range(100))

    def make() -> ParquetLake:
        return ParquetLake(tmp_path / str(next(numbers)), "contract", buckets=2)

    def same_place(sink: ParquetLake) -> ParquetLake:
        return ParquetLake(sink.place, sink.table, buckets=2)

    check_mirror_sink(make, shown, again=same_place)


def test_a_lake_is_a_mirror_and_a_log_is_none() -> None:
    lake, log = over_memory(ParquetLake), over_memory(ParquetLog)
    assert all(isinstance(sink, Versioned) and isinstance(sink, Transactional) for sink in (lake, log))
    assert [isinstance(sink, Mirror) for sink in (lake, log)] == [True, False]


Made = Callable[[], Any]
