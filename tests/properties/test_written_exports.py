"""Properties of exports that are written: the reader reads what was given, and a chain of them is the table.

Rules of this file: the writer alone makes the files; what is expected is what was given to it, made canonical
at the border, and a table that is folded here.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.exports.core.chain import chain_up_to
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.plan import PlannedExport, export_id_of, net_change, shown
from tailrace.exports.run.listing import list_exports, open_export
from tailrace.exports.run.writing import rows_of, write_export
from tailrace.ports import ArchiveStore
from tailrace.testing.exporting import MemoryFiles
from tailrace.values.types import Item
from tailrace.values.wire import read_item
from tests.properties.test_values import items as written_items
from tests.unit.exports.given import MINUTE, T, opened, pages_of

relaxed = settings(deadline=None, max_examples=50)
items = written_items.map(read_item)
WINDOW_US = 15 * MINUTE
plans = st.builds(
    PlannedExport,
    export_id=st.builds(export_id_of, st.integers(0, T), st.integers(0, 2**32 - 1)),
    table_arn=st.sampled_from(["arn:aws:dynamodb:eu-west-1:123456789012:table/orders"]),
    table_id=st.sampled_from(["5c7e"]),
    to_us=st.integers(1, 10**6).map(lambda ms: T + ms * 1_000),
    started_us=st.just(T),
    format=st.sampled_from(["DYNAMODB_JSON", "ION"]),
    prefix=st.sampled_from(["", "a", "a/b c"]),
)
views = st.sampled_from(["NEW_AND_OLD_IMAGES", "NEW_IMAGE"])


def blobs_of(archive: ArchiveStore) -> dict[str, bytes]:
    async def read() -> dict[str, bytes]:
        return {name: (await archive.get(name)).data for name in await archive.list("")}  # type: ignore[union-attr]

    return asyncio.run(read())


@relaxed
@given(
    plans, views, st.booleans(), st.lists(st.tuples(items.filter(bool), st.none() | items, items)), st.data()
)
def test_every_export_that_is_written_is_read_as_it_was_given(
    plan: PlannedExport,
    view: Any,
    is_full: bool,
    rows: list[tuple[Item, Item | None, Item]],
    data: st.DataObject,
) -> None:
    if is_full:
        told = [ExportedItem(None, old) for _, _, old in rows]
    else:
        plan = replace(plan, from_us=plan.to_us - WINDOW_US, view=view)
        moment = st.integers(plan.to_us - WINDOW_US, plan.to_us - 1)
        told = [
            ExportedItem(keys, new, data.draw(st.sampled_from([None, old])), data.draw(moment))
            for keys, new, old in rows
        ]
    archive = MemoryArchive()
    file_bytes = data.draw(st.sampled_from([1, 200, 1 << 20]))
    summary = asyncio.run(write_export(archive, plan, told, ManualClock(), file_bytes=file_bytes))
    files = MemoryFiles(blobs_of(archive))
    listed, export = opened(files)
    assert listed.summary == export.summary == summary == plan.finished(len(rows), summary.billed_bytes)
    assert [item for page in pages_of(files, export) for item in page.items] == [
        shown(plan, one) for one in told
    ]


# ---- a chain is the table ----------------------------------------------------------------------------------

WINDOWS = 3
writes = st.lists(
    st.tuples(
        st.integers(-WINDOW_US, WINDOWS * WINDOW_US - 1),
        st.sampled_from("abcd"),
        st.none() | st.integers(0, 9),
    ),
    max_size=25,
).map(lambda history: sorted(history, key=lambda write: write[0]))
"""What was written when, also several times at once: key and number, None for a deletion. Units: µs after T.
"""


class History:
    """An `ExportSource` over writes."""

    def __init__(self, history: list[tuple[int, str, int | None]]) -> None:
        self.history = history

    def table(self, at_us: int) -> dict[str, Item]:
        table: dict[str, Item] = {}
        for written, key, number in self.history:
            if T + written < at_us:
                table.pop(key, None)
                if number is not None:
                    table[key] = {"pk": {"S": key}, "n": {"N": str(number)}}
        return table

    async def state(self, at_us: int) -> AsyncIterator[ExportedItem]:
        for item in self.table(at_us).values():
            yield ExportedItem(None, item)

    async def changes(self, from_us: int, to_us: int) -> AsyncIterator[ExportedItem]:
        table = self.table(from_us)
        changes: dict[str, list[ExportedItem]] = defaultdict(list)
        for written, key, number in self.history:
            if not from_us <= T + written < to_us:
                continue
            new = None if number is None else {"pk": {"S": key}, "n": {"N": str(number)}}
            changes[key].append(ExportedItem({"pk": {"S": key}}, new, table.get(key), T + written))
            table.pop(key, None)
            if new is not None:
                table[key] = new
        for of_key in changes.values():
            if (net := net_change(of_key)) is not None:
                yield net


@relaxed
@given(
    writes, views, st.sampled_from(["DYNAMODB_JSON", "ION"]), st.lists(st.integers(0, WINDOWS), min_size=1)
)
def test_a_full_export_and_what_follows_is_the_table_at_every_export_time(
    history: list[tuple[int, str, int | None]], view: Any, format: Any, fulls: list[int]
) -> None:
    source, archive = History(history), MemoryArchive()
    blank = PlannedExport("", "arn:aws:dynamodb:eu-west-1:1:table/orders", "5c7e", T, T, format)
    wanted = [replace(blank, to_us=T + full * WINDOW_US) for full in sorted(set(fulls))] + [
        replace(blank, from_us=T + n * WINDOW_US, to_us=T + (n + 1) * WINDOW_US, view=view)
        for n in range(WINDOWS)
    ]
    for number, plan in enumerate(wanted):
        plan = replace(plan, export_id=export_id_of(T, number))
        asyncio.run(write_export(archive, plan, rows_of(source, plan), ManualClock()))
    files = MemoryFiles(blobs_of(archive))
    listed = {one.export_id: one for one in asyncio.run(list_exports(files))}
    summaries = [one.summary for one in listed.values() if one.summary]
    assert len(summaries) == len(wanted)
    for number in range(min(fulls), WINDOWS + 1):
        at_us = T + number * WINDOW_US
        table: dict[str, Item] = {}
        for summary in chain_up_to(summaries, at_us).exports:
            export = asyncio.run(open_export(files, listed[summary.export_id]))
            for page in pages_of(files, export):
                for item in page.items:
                    key = str((item.keys or item.new or {})["pk"]["S"])
                    assert summary.is_full or item.old == (
                        table.get(key) if view == "NEW_AND_OLD_IMAGES" else None
                    )
                    table.pop(key, None)
                    if item.new is not None:
                        table[key] = item.new
        assert table == source.table(chain_up_to(summaries, at_us).end_us)
