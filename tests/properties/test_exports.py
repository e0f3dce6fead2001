"""Properties of exports: whatever is written comes back, in every form, from any position.

Rules of this file: items are drawn as a client may write them; what is expected is what was given to the
writer, made canonical at the border.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.exports.core.exported import BEGINNING, ExportedItem
from tailrace.testing.exporting import ExportForm, MemoryFiles, full_export, incremental_export
from tailrace.values.wire import dump_item, read_item
from tests.properties.test_values import items as written_items
from tests.unit.exports.given import MINUTE, T, opened, pages_of

relaxed = settings(deadline=None, max_examples=60)
forms = st.builds(
    ExportForm,
    format=st.sampled_from(["DYNAMODB_JSON", "ION"]),
    compression=st.sampled_from(["GZIP", "ZSTD", "NONE"]),
    files=st.integers(1, 3),
    prefix=st.sampled_from(["", "a", "a/b c"]),
    checksum=st.sampled_from(["checksum", "md5"]),
    is_binary=st.booleans(),
)
items = written_items.map(read_item)
changes = st.builds(
    ExportedItem,
    keys=items.filter(bool),
    new=st.none() | items,
    old=st.none() | items,
    written_us=st.integers(0, 2**53),
)


def in_turn(given_items: list[Any], files: int) -> list[Any]:
    """The order in which they are read: files are filled in turn."""
    return [item for number in range(files) for item in given_items[number::files]]


@relaxed
@given(st.lists(items, max_size=6), forms, st.integers(1, 4))
def test_every_full_export_comes_back(table: list[Any], form: ExportForm, page_items: int) -> None:
    files = MemoryFiles(full_export(table, T, form))
    export = opened(files)[1]
    pages = pages_of(files, export, BEGINNING, page_items)
    read = [item for page in pages for item in page.items]
    assert [dump_item(one.new or {}) for one in read] == [
        dump_item(item) for item in in_turn(table, form.files)
    ]
    done = 0
    for page in pages:
        done += len(page.items)
        assert len(page.items) <= page_items
        rest = [item for one in pages_of(files, export, page.position, page_items) for item in one.items]
        assert rest == read[done:]


@relaxed
@given(st.lists(changes, max_size=6), forms)
def test_every_incremental_export_comes_back(window: list[ExportedItem], form: ExportForm) -> None:
    files = MemoryFiles(incremental_export(window, (T, T + 15 * MINUTE), form))
    read = [item for page in pages_of(files, opened(files)[1]) for item in page.items]
    assert read == in_turn(window, form.files)
