"""Properties of exports: whatever is written comes back, in every form, from any position.

Rules of this file: items are drawn as a client may write them; what is expected is what was given to the
writer, made canonical at the border.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Refused
from tailrace.exports.core.chain import chain_up_to
from tailrace.exports.core.exported import BEGINNING, ExportedItem
from tailrace.exports.run.listing import list_exports, open_export
from tailrace.testing.exporting import ExportForm, MemoryFiles, full_export, incremental_export
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item
from tests.properties.test_values import items as written_items
from tests.unit.exports.given import MINUTE, T, opened, pages_of

relaxed = settings(deadline=None, max_examples=25)
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


# ---- a chain is the table ----------------------------------------------------------------------------------

QUARTER = 15 * MINUTE
QUARTERS = 4
writes = st.lists(
    st.tuples(st.integers(0, QUARTERS * QUARTER - 1), st.sampled_from("abc"), st.none() | st.integers(0, 9)),
    max_size=12,
    unique_by=lambda write: write[0],
).map(sorted)
"""What was written when: key and number, None for a deletion. Units: µs behind T."""


def table_at(history: Sequence[tuple[int, str, int | None]], moment: int) -> dict[str, Item]:
    """What the writes before a moment leave."""
    table: dict[str, Item] = {}
    for written, key, number in history:
        if written < moment:
            table.pop(key, None)
            if number is not None:
                table[key] = {"pk": {"S": key}, "n": {"N": str(number)}}
    return table


def window_of(history: Sequence[tuple[int, str, int | None]], start: int, end: int) -> list[ExportedItem]:
    """What an incremental export tells of a window: the last state of what was written in it."""
    last = {key: written for written, key, _ in history if start <= written < end}
    before, after = table_at(history, start), table_at(history, end)
    return [
        ExportedItem({"pk": {"S": key}}, after.get(key), before.get(key), T + written)
        for key, written in last.items()
    ]


@relaxed
@given(
    writes,
    st.sets(st.integers(0, QUARTERS - 1), max_size=2),
    st.sets(st.integers(0, QUARTERS - 1), min_size=QUARTERS - 2),
    st.integers(0, QUARTERS),
    forms,
)
def test_a_chain_of_exports_is_the_table_at_its_end_or_is_refused(
    history: list[tuple[int, str, int | None]],
    fulls: set[int],
    windows: set[int],
    wanted: int,
    form: ExportForm,
) -> None:
    blobs: dict[str, bytes] = {}
    for quarter in fulls:
        at = quarter * QUARTER
        blobs |= full_export(table_at(history, at).values(), T + at, form)
    for quarter in windows:
        start, end = quarter * QUARTER, (quarter + 1) * QUARTER
        blobs |= incremental_export(window_of(history, start, end), (T + start, T + end), form, number=2)
    files = MemoryFiles(blobs)
    listed = {one.export_id: one for one in asyncio.run(list_exports(files))}
    reachable = any(set(range(full, wanted)) <= windows for full in fulls if full <= wanted) or any(
        full >= wanted for full in fulls
    )
    try:
        chain = chain_up_to([one.summary for one in listed.values() if one.summary], T + wanted * QUARTER)
    except Refused:
        assert not reachable
        return
    assert reachable
    table: dict[str, Item] = {}
    for summary in chain.exports:
        export = asyncio.run(open_export(files, listed[summary.export_id]))
        for page in pages_of(files, export):
            for item in page.items:
                key = str((item.keys or item.new or {})["pk"]["S"])
                table.pop(key, None)
                if item.new is not None:
                    table[key] = item.new
    assert table == table_at(history, chain.end_us - T)
