"""A mirror in Redshift keeps every contract of sinks, through both doors, on the stand-in
(tests/redshift.py).

Rules of this file: a target is a new schema of one database.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from tailrace import sinks
from tailrace.ports import Mirror, Sink, Transactional, Versioned
from tailrace.streams.version import Version
from tailrace.testing import check_mirror_sink, check_sink, check_transactional_sink, check_versioned_sink
from tailrace.testing.contracts.sink import STREAM
from tests.redshift import API, Warehouse, options, stand_in
from tests.sql_targets import Refusing


class RefusingRedshift(Refusing, sinks.Redshift):
    pass


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    with stand_in() as (made, _):
        yield made


class Target:
    """Where sinks are made, and how what is in them is read by somebody else."""

    def __init__(self, warehouse: Warehouse, place: Any, table: str) -> None:
        self._warehouse = warehouse
        self._place = place
        self._table = table

    def make(self) -> Any:
        """A sink over a new schema."""
        return self._sink(self._warehouse.schema())

    def again(self, sink: Any) -> Any:
        """Another sink over the same one."""
        return self._sink(sink.schema)

    def _sink(self, schema: str) -> Any:
        return RefusingRedshift(self._place, self._table, schema, **options())

    def ask(self, sink: Any, statement: str) -> list[tuple[Any, ...]]:
        """The answer; nothing where there is no table yet."""
        try:
            return self._warehouse.ask(statement, sink.schema)
        except psycopg.errors.UndefinedTable:
            return []


@pytest.fixture(params=["protocol orders", pytest.param("api", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, warehouse: Warehouse) -> Target:
    """One table, or one an entity: without rules all items are of one."""
    door, _, table = request.param.partition(" ")
    return Target(warehouse, API if door == "api" else warehouse.url, table)


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
def test_it_has_all_ports(port: Any) -> None:
    assert isinstance(sinks.Redshift(API, "orders", staging="s3://staging/tailrace"), port)
