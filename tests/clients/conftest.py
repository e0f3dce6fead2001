"""One server for all clients, with a table a test."""

import itertools
from collections.abc import Iterator

import pytest

from tests.serving import Served, serving

_numbers = itertools.count()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """A real server on a free loopback port."""
    with serving() as running:
        yield running


@pytest.fixture
def endpoint(served: Served) -> str:
    """Its URL."""
    return f"http://127.0.0.1:{served.port}"


@pytest.fixture
def table() -> str:
    """A name that no other test has."""
    return f"table-{next(_numbers)}"
