"""What one file of rules has parsed is let go before the next one begins; trees make no circles, and to look
for some in millions of nodes took as long as to parse them.
"""

import gc
from collections.abc import Iterator

import pytest

from tests.architecture import syntax


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go() -> Iterator[None]:
    gc.disable()
    yield
    syntax.forget()
    gc.enable()
