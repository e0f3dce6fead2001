"""What one file of rules has parsed is let go before the next one begins."""

from collections.abc import Iterator

import pytest

from tests.architecture import syntax


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go() -> Iterator[None]:
    yield
    syntax.forget()
