"""The names that users import: a change of this list is a change of the promise, and stands in the changelog.

Rules of this file: the snapshot is written here, by hand.
"""

import subprocess
import sys

import tailrace

PUBLIC = [
    "App", "Attribute", "Batch", "Change", "Depends", "Discard", "Drop", "Epoch", "Item", "Park", "Retry", "Throttled",
    "Unavailable", "Window", "__version__", "by_ttl", "changed", "connect", "new", "old",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert sorted(tailrace.__all__) == PUBLIC


def test_every_public_name_exists_and_is_shown() -> None:
    assert [name for name in tailrace.__all__ if not hasattr(tailrace, name)] == []
    assert set(tailrace.__all__) - {"__version__"} <= set(dir(tailrace))


def test_the_list_fits_on_a_screen() -> None:
    with open(str(tailrace.__file__), encoding="utf-8") as file:
        assert len(file.readlines()) <= 48


def test_the_import_is_light() -> None:
    program = "import time; begun = time.perf_counter(); import tailrace; print(time.perf_counter() - begun)"
    taken = [
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(taken) < 2, "the target is 60 ms on a quiet machine: make bench"
