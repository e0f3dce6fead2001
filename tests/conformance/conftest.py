"""One fresh engine in memory a test, under a clock that stands still."""

from collections.abc import Iterator

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance

START_MS = 1_780_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    """Time that only moves when told."""
    return ManualClock(START_MS)


@pytest.fixture
def api(clock: ManualClock) -> Iterator[Conformance]:
    """The API, without tables."""
    engine = Engine(MemoryStore(), clock)
    yield Conformance(engine)
    engine.close()


@pytest.fixture
def things(api: Conformance) -> Conformance:
    """The API with the table `things` (pk, sk) and its stream."""
    api.table(view="NEW_AND_OLD_IMAGES")
    return api
