"""Every process of a test ends with it."""

from collections.abc import Iterator

import pytest

from tests.unit.entry.invoking import LOOPS


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Close the loops of its processes."""
    yield
    while LOOPS:
        LOOPS.pop().close()
