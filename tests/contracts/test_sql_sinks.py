"""Mirrors in SQL keep every contract of sinks: DuckDB in files, PostgreSQL on a real server.

Rules of this file: a target is a new file, or a new schema of one server.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tailrace import sinks
from tailrace.ports import Mirror, Sink, Transactional, Versioned
from tailrace.streams.version import Version
from tailrace.testing import check_mirror_sink, check_sink, check_transactional_sink, check_versioned_sink
from tailrace.testing.contracts.sink import STREAM
from tests.postgres import PostgresServer, postgres
from tests.sql_targets import Target, in_files, on_server

NUMBER: Final = count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(
    params=[
        "duckdb orders",
        "postgresql",
        pytest.param("duckdb", marks=pytest.mark.slow),
        pytest.param("postgresql orders", marks=pytest.mark.slow),
    ]
)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """One table, or one an entity: without rules all items are of one."""
    kind, _, table = request.param.partition(" ")
    if kind == "duckdb":
        return in_files(tmp_path, table)
    return on_server(request.getfixturevalue("server"), table)


def view(sink: Any) -> str:
    """What is asked."""
    return str(sink.table) or STREAM.table


def versions(target: Target) -> Callable[[Any], Mapping[str, Version]]:
    def read(sink: Any) -> dict[str, Version]:
        rows = target.ask(sink, f"SELECT pk, tailrace_version FROM {view(sink)}")
        return {key: Version.from_text(text) for key, text in rows}

    return read


def test_a_mirror_keeps_its_contract(target: Target) -> None:
    check_mirror_sink(
        target.make,
        lambda sink: dict(target.ask(sink, f"SELECT pk, n FROM {view(sink)}")),
        again=target.again,
    )


def test_versions_and_sources_are_kept(target: Target) -> None:
    check_versioned_sink(target.make, versions(target), again=target.again)


def test_rows_and_positions_change_together(target: Target) -> None:
    def make(refused: frozenset[int]) -> Any:
        sink = target.make()
        sink.refused = refused
        return sink

    def arrived(sink: Any) -> Iterable[int]:
        return [version.sequence for version in versions(target)(sink).values()]

    check_transactional_sink(make, arrived, again=target.again)


def test_it_is_a_sink_as_any_other(target: Target) -> None:
    def make(refused: frozenset[int]) -> Sink:
        sink = target.make()
        sink.refused = refused
        return sink

    check_sink(make, lambda sink: getattr(sink, "accepted", []))


@pytest.mark.parametrize("port", [Sink, Versioned, Mirror, Transactional])
@pytest.mark.parametrize("sink", [sinks.DuckDB("shop.duckdb", "orders"), sinks.PostgreSQL("", "orders")])
def test_it_has_all_ports(sink: Any, port: Any) -> None:
    assert isinstance(sink, port)
