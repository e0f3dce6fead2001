"""The names that users import: a change of this list is a change of the promise, and stands in the changelog.

Rules of this file: the snapshot is written here, by hand.
"""

import tailrace

PUBLIC = [
    "App", "AsyncClient", "Attribute", "Batch", "Change", "Client", "Conflict", "Depends", "Discard", "Drop",
    "Epoch", "Index", "Item", "Park", "Record", "Recorded", "Records", "Refused", "Retry", "Snapshots",
    "Throttled", "Unavailable", "Window", "__version__", "by_ttl", "changed", "connect", "new", "old",
    "user_records",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert sorted(tailrace.__all__) == PUBLIC


def test_every_public_name_exists_and_is_shown() -> None:
    assert [name for name in tailrace.__all__ if not hasattr(tailrace, name)] == []
    assert set(tailrace.__all__) - {"__version__"} <= set(dir(tailrace))


def test_the_list_fits_on_a_screen() -> None:
    with open(str(tailrace.__file__), encoding="utf-8") as file:
        assert len(file.readlines()) <= 50
