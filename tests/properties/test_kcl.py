"""Any progress that KCL or a handler can have made goes over to the other side, and back, without a change
that is skipped, and with none repeated but those that are told.

Rules of this file: what was processed is known by playing a consumer over a random line of shards, never by
asking what is tested.
"""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tailrace.kcl.core import exporting, importing
from tailrace.kcl.core.exporting import ExportPlan, KeyForm, SetAside, plan_export
from tailrace.kcl.core.importing import ImportPlan, ReadableStream, plan_import
from tailrace.kcl.core.lease_table import KclLease, read_table
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.sources.dialects import AWS
from tailrace.streams.shards import Shard

LABEL = "2026-11-28T10:00:00.000"
NAME = "eu-west-1$123456789012$orders$2026-11-28T10_00_00.000"
RECORDS = 10
"""Numbers of a shard; one in two has a record."""


class Line:
    """Shards that continue one another. Shape: `records` by shard; a shard without children is open."""

    def __init__(self, draw: st.DrawFn) -> None:
        shards = [
            Shard(f"s{place}", 1 + place * 100, stream=LABEL) for place in range(draw(st.integers(1, 2)))
        ]
        ends: dict[str, int] = {}
        for number in range(len(shards), draw(st.integers(len(shards), 6))):
            parent = draw(st.sampled_from(shards))
            ends[parent.shard_id] = parent.first + RECORDS
            shards.append(Shard(f"s{number}", 1 + number * 100, (parent.shard_id,), stream=LABEL))
        self.shards = [
            Shard(shard.shard_id, shard.first, shard.parents, ends.get(shard.shard_id), stream=LABEL)
            for shard in shards
        ]
        self.records = {
            shard.shard_id: [shard.first + 2 * place for place in range(draw(st.integers(0, RECORDS // 2)))]
            for shard in self.shards
        }

    @property
    def stream(self) -> ReadableStream:
        """As it can be read."""
        return ReadableStream(LABEL, NAME, self.shards, AWS)

    def children(self, shard: Shard) -> list[Shard]:
        """What continues a shard."""
        return [other for other in self.shards if shard.shard_id in other.parents]

    def all(self) -> set[int]:
        """Every record."""
        return {record for records in self.records.values() for record in records}


class KclPlayed:
    """A KCL consumer at any moment. Shape: `leases` are checkpoints by shard; `processed` what it has
    processed.
    """

    def __init__(self, draw: st.DrawFn, line: Line) -> None:
        self.line = line
        self.leases = {shard.shard_id: "TRIM_HORIZON" for shard in line.shards if not shard.parents}
        self.processed: set[int] = set()
        for choice in draw(st.lists(st.integers(0, 50), max_size=30)):
            waiting = [shard for shard in line.shards if self._is_readable(shard)]
            if waiting:
                self._step(waiting[choice % len(waiting)])
        for shard in line.shards:
            if draw(st.booleans()):
                self._remove(shard)

    def _is_readable(self, shard: Shard) -> bool:
        blocked = any(self.leases.get(parent, "SHARD_END") != "SHARD_END" for parent in shard.parents)
        return self.leases.get(shard.shard_id, "SHARD_END") != "SHARD_END" and not blocked

    def _step(self, shard: Shard) -> None:
        left = [record for record in self.line.records[shard.shard_id] if record not in self.processed]
        if left:
            self.processed.add(left[0])
            self.leases[shard.shard_id] = AWS.text(left[0])
        elif children := self.line.children(shard):
            self.leases |= {child.shard_id: "TRIM_HORIZON" for child in children}
            self.leases[shard.shard_id] = "SHARD_END"

    def _remove(self, shard: Shard) -> None:
        """Remove a finished lease, as KCL does when its children have begun."""
        children = [self.leases.get(child.shard_id) for child in self.line.children(shard)]
        has_ended = self.leases.get(shard.shard_id) == "SHARD_END"
        if has_ended and children and all(text not in (None, "TRIM_HORIZON") for text in children):
            del self.leases[shard.shard_id]

    def items(self) -> list[dict[str, Any]]:
        """Its rows."""
        return [
            {"leaseKey": {"S": shard_id}, "leaseCounter": {"N": "3"}, "checkpoint": {"S": text}}
            for shard_id, text in self.leases.items()
        ]


class HandlerPlayed:
    """A handler at any moment. Shape: `settled` includes what is `parked`."""

    def __init__(self, draw: st.DrawFn, line: Line) -> None:
        self.line = line
        self.settled: set[int] = set()
        self.parked: set[int] = set()
        self.begun: set[str] = set()
        self.finished: set[str] = set()
        for shard in line.shards:
            if all(parent in self.finished for parent in shard.parents) and draw(st.booleans()):
                self.begun.add(shard.shard_id)
                records = line.records[shard.shard_id]
                some = draw(st.sets(st.sampled_from(records))) if records else set[int]()
                self.settled |= set(records) if draw(st.booleans()) else some
                if shard.is_closed and set(records) <= self.settled:
                    self.finished.add(shard.shard_id)
        if self.settled and draw(st.booleans()):
            self.parked = draw(st.sets(st.sampled_from(sorted(self.settled)), max_size=2))

    def rows(self) -> dict[tuple[str, str], CheckpointRow]:
        """Its checkpoints."""
        rows: dict[tuple[str, str], CheckpointRow] = {}
        for shard in self.line.shards:
            if shard.shard_id in self.begun:
                records = self.line.records[shard.shard_id]
                waiting = [record for record in records if record not in self.settled]
                watermark = (waiting[0] if waiting else max(records, default=shard.first)) - bool(waiting)
                beyond = [record for record in records if record > watermark and record in self.settled]
                ranges = tuple((record, record) for record in beyond)
                is_finished = shard.shard_id in self.finished
                rows[LABEL, shard.shard_id] = CheckpointRow(2, 1, watermark, ranges, is_finished)
        return rows

    def aside(self) -> list[SetAside]:
        """What is parked."""
        return [
            SetAside(shard_id, record, "item")
            for shard_id, records in self.line.records.items()
            for record in records
            if record in self.parked
        ]


def told_kcl(line: Line, leases: dict[str, str]) -> set[int]:
    """What KCL processes that begins with these leases; a shard without one begins when its parents end."""
    told: set[int] = set()
    for shard_id, records in line.records.items():
        text = leases.get(shard_id, "TRIM_HORIZON")
        if text != "SHARD_END":
            told |= {record for record in records if text == "TRIM_HORIZON" or record > int(text)}
    return told


def told_handler(line: Line, plan: ImportPlan) -> set[int]:
    """What a handler is told that begins with an import."""
    rows = {imported.shard_id: imported.row for imported in plan.lines}
    told: set[int] = set()
    for shard_id, records in line.records.items():
        row = rows.get(shard_id)
        if row is None or not row.finished:
            told |= {record for record in records if row is None or record > row.watermark}
    return told


def leases_of(plan: ExportPlan) -> dict[str, str]:
    return {line.shard_id: line.checkpoint.text for line in plan.lines if line.checkpoint is not None}


@st.composite
def kcl(draw: st.DrawFn) -> KclPlayed:
    return KclPlayed(draw, Line(draw))


@st.composite
def handler(draw: st.DrawFn) -> HandlerPlayed:
    return HandlerPlayed(draw, Line(draw))


def check_import(played: KclPlayed) -> None:
    plan = plan_import(read_table("t", played.items()), [played.line.stream])
    assert plan.of("refused", "gap", "time") == []
    assert told_handler(played.line, plan) == played.line.all() - played.processed


@given(kcl())
def test_what_was_imported_is_exported_as_it_was(played: KclPlayed) -> None:
    stream = played.line.stream
    plan = plan_import(read_table("t", played.items()), [stream])
    rows = {(LABEL, line.shard_id): line.row for line in plan.lines if line.row is not None}
    leases = leases_of(plan_export([stream], rows, [], {}, KeyForm()))
    assert {shard: int(text) if text.isdigit() else text for shard, text in leases.items()} | {
        shard: int(text) if text.isdigit() else text for shard, text in played.leases.items()
    } == {shard: int(text) if text.isdigit() else text for shard, text in leases.items()}
    assert told_kcl(played.line, leases) == played.line.all() - played.processed


def check_export(played: HandlerPlayed, keys: KeyForm) -> None:
    line, stream = played.line, played.line.stream
    rows = played.rows()
    plan = plan_export([stream], rows, played.aside(), {}, keys)
    told = told_kcl(line, leases_of(plan))
    handled = played.settled - played.parked
    assert line.all() - handled <= told, "a change is skipped"
    for shard_id, records in line.records.items():
        repeated = {record for record in records if record in told & handled}
        words = next((lease.words for lease in plan.lines if lease.shard_id == shard_id), "")
        assert not repeated or "again" in words, "a change is repeated in silence"
    items = [lease.item for lease in plan.lines if lease.item is not None]
    if items:
        back = plan_import(read_table("t", items), [stream])
        assert told_handler(line, back) == told


def check_lease(played: HandlerPlayed, other: KclPlayed) -> None:
    seen: dict[str, KclLease] = {lease.shard_id: lease for lease in read_table("t", other.items()).leases}
    plan = plan_export([played.line.stream], played.rows(), [], seen, KeyForm())
    for line in plan.lines:
        if line.seen is not None and line.checkpoint is not None:
            assert line.checkpoint.order >= line.seen.checkpoint.order


FORMS = st.builds(KeyForm, st.sampled_from(["1", "2", "3", "3.5"]), st.sampled_from(["", "123456789012"]))


@given(kcl())
def test_an_import_skips_nothing_and_repeats_nothing(played: KclPlayed) -> None:
    check_import(played)


@given(handler(), FORMS)
def test_an_export_skips_nothing_repeats_what_it_tells_and_comes_back_the_same(
    played: HandlerPlayed, keys: KeyForm
) -> None:
    check_export(played, keys)


@given(handler(), kcl())
def test_a_lease_is_never_set_back(played: HandlerPlayed, other: KclPlayed) -> None:
    check_lease(played, other)


# ---- canaries ----------------------------------------------------------------------------------------------


def _skips_one(*arguments: Any) -> Any:
    *before, watermark, words = arguments
    return BEHIND(*before, watermark + 2, words)


def _forgets_what_was_removed(stream: ReadableStream, shard: Shard, _: object) -> Any:
    return importing._from_beginning(stream, shard, "no lease", "", is_follower=True)


def _ends_what_has_no_lease(stream: ReadableStream, shard: Shard, _: object) -> Any:
    return importing._finished(stream, shard, "no lease", "", shard.first + RECORDS)


def _leaves_parked(stream: ReadableStream, shard: Shard, row: CheckpointRow | None, _: object) -> Any:
    return PLACE(stream, shard, row, None)


def _goes_before_the_last_settled(
    stream: ReadableStream, shard: Shard, row: CheckpointRow | None, parked: int | None
) -> Any:
    checkpoint, words = PLACE(stream, shard, row, parked)
    if row is not None and row.ranges and checkpoint.is_number:
        checkpoint = exporting.KclCheckpoint(AWS.text(row.ranges[-1][1]))
    return checkpoint, words


BEHIND, PLACE = importing._behind_watermark, exporting._place


IMPORTS, EXPORTS, LEASES = (check_import, (kcl(),)), (check_export, (handler(), FORMS)), (
    check_lease, (handler(), kcl()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name", "planted", "judged_by"),
    [
        (importing, "_behind_watermark", _skips_one, IMPORTS),
        (importing, "_without_lease", _forgets_what_was_removed, IMPORTS),
        (importing, "_without_lease", _ends_what_has_no_lease, IMPORTS),
        (exporting, "_place", _leaves_parked, EXPORTS),
        (exporting, "_place", _goes_before_the_last_settled, EXPORTS),
        (exporting, "_is_later", lambda *_: False, LEASES),
    ],
)
def test_a_planted_mistake_is_seen(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, planted: Any, judged_by: Any
) -> None:
    check, strategies = judged_by
    judging = settings(max_examples=1_000, phases=[Phase.generate], database=None)(given(*strategies)(check))
    monkeypatch.setattr(module, name, planted)
    with pytest.raises(AssertionError):
        judging()
