"""Which allocator pyarrow has in a process of ours."""

import os
import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S

PROGRAM = """
from tailrace.cli.main import keep_little

keep_little()
import pyarrow

print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.parametrize(
    ("told", "expected"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")]
)
def test_pyarrow_has_the_allocator_of_the_system_unless_told_otherwise(
    told: dict[str, str], expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, **told},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert ended.stdout.strip() == expected
