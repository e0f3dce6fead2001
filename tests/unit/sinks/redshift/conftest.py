"""The stand-in for Redshift, once for all tests of a worker process."""

from collections.abc import Iterator

import pytest

from tests.redshift import DataApi, Warehouse, stand_in


@pytest.fixture(scope="package")
def both() -> Iterator[tuple[Warehouse, DataApi]]:
    with stand_in() as made:
        yield made


@pytest.fixture
def warehouse(both: tuple[Warehouse, DataApi]) -> Warehouse:
    return both[0]


@pytest.fixture
def api(both: tuple[Warehouse, DataApi]) -> Iterator[DataApi]:
    yield both[1]
    both[1].looks = 0
