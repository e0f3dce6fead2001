"""What each lease becomes: the checkpoint with which a handler goes on behind what KCL has processed."""

import pytest

from tailrace.errors import SettingsError
from tailrace.kcl.core.importing import ImportedLease, joined, plan_import
from tailrace.kcl.core.lease_table import read_table
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.sources.dialects import ALTERNATOR
from tailrace.streams.shards import Shard
from tests.unit.kcl.golden import LABEL, SHARDS, A, B, C, lease, number, stream, table_of

D = "shardId-00000001795885200000-dddddddd"


def planned(
    *items: dict[str, object], shards: tuple[Shard, ...] = SHARDS, **gone: int
) -> list[ImportedLease]:
    """The lines of a plan. Shape: `gone` by the last letter of a shard's id."""
    trimmed = {shard.shard_id: gone[shard.shard_id[-1]] for shard in shards if shard.shard_id[-1] in gone}
    plan = plan_import(read_table("t", items), [stream(*shards, gone=trimmed)])  # type: ignore[arg-type]
    return list(plan.lines)


def only(*items: dict[str, object], of: str = B, **gone: int) -> ImportedLease:
    (line,) = [line for line in planned(*items, **gone) if line.shard_id == of]
    return line


@pytest.mark.parametrize(
    ("name", "third"),
    [("1.x", "beginning"), ("2.x", "time"), ("3.3", "time"), ("3.5", "beginning")],
)
def test_the_tables_of_every_version_become_the_same(name: str, third: str) -> None:
    plan = plan_import(table_of(name), [stream()])
    first, second, last = plan.lines
    assert first.becomes == "finished"
    assert first.row is not None
    assert (first.row.finished, first.row.watermark) == (True, number(199))
    assert second.becomes == "goes on"
    assert second.row is not None
    assert (second.row.finished, second.row.watermark) == (False, number(250))
    assert (last.shard_id, last.becomes) == (C, third)


def test_a_table_for_several_streams_gives_each_its_own() -> None:
    plan = plan_import(table_of("2.x-several-streams"), [stream()])
    assert plan.elsewhere == 1
    assert [line.becomes for line in plan.lines] == ["finished", "goes on", "beginning"]


# ---- places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [200, 201])
def test_a_number_is_the_last_record_that_is_settled(place: int) -> None:
    line = only(lease(B, str(number(place))))
    assert line.row is not None
    assert line.row.watermark == number(place)
    assert line.row.ledger.detail_from == number(place) + 1


def test_a_checkpoint_inside_a_record_is_put_before_it() -> None:
    line = only(lease(B, str(number(250))) | {"checkpointSubSequenceNumber": {"N": "1"}})
    assert line.row is not None
    assert line.row.watermark == number(249)
    assert "delivered again" in line.words


def test_what_was_prepared_and_not_made_is_read_again() -> None:
    (line,) = [line for line in plan_import(table_of("2.x"), [stream()]).lines if line.shard_id == B]
    assert line.row is not None
    assert line.row.watermark == number(250)
    assert f"{number(255)} was prepared and not made" in line.words


def test_several_records_of_one_number_are_all_settled_by_it() -> None:
    shard = Shard("H 1:0123456789abcdef0123456789abcdef", ALTERNATOR.number("5"), stream=LABEL)
    table = read_table("t", [lease(shard.shard_id, "7")])
    alternator = stream(shard)
    plan = plan_import(table, [type(alternator)(LABEL, alternator.name, (shard,), ALTERNATOR)])
    assert plan.lines[0].row is not None
    assert plan.lines[0].row.watermark == ALTERNATOR.number("8") - 1


@pytest.mark.parametrize(
    ("shard", "place", "becomes"),
    [
        (B, 199, "refused"),
        (B, 200, "goes on"),
        (A, 100, "goes on"),
        (A, 199, "goes on"),
        (A, 200, "refused"),
        (A, 99, "refused"),
    ],
)
def test_a_checkpoint_outside_its_shard_is_refused(shard: str, place: int, becomes: str) -> None:
    assert only(lease(shard, str(number(place))), of=shard).becomes == becomes


def test_the_end_of_a_shard_that_is_open_and_goes_on_is_refused() -> None:
    assert only(lease(B, "SHARD_END")).becomes == "refused"


def test_the_end_of_an_open_shard_that_is_continued_is_believed() -> None:
    child = Shard(D, number(300), (B,), stream=LABEL)
    (line,) = [line for line in planned(lease(B, "SHARD_END"), shards=(*SHARDS, child)) if line.shard_id == B]
    assert line.row is not None
    assert (line.row.finished, line.row.watermark) == (True, number(299))


def test_the_oldest_record_there_is_is_where_a_first_shard_begins() -> None:
    assert only(lease(A, "TRIM_HORIZON"), of=A).row == only(lease(A, "TRIM_HORIZON"), of=A, a=number(99)).row
    later = only(lease(A, "TRIM_HORIZON"), of=A, a=number(150)).row
    assert later is not None
    assert later.watermark == number(150)


def test_a_shard_that_continues_another_begins_with_its_first_record_though_it_is_trimmed() -> None:
    for before in ([lease(A, "SHARD_END")], []):  # the lease before it may be gone with its shard
        line = only(*before, lease(B, "TRIM_HORIZON"), b=number(220))
        assert line.row is not None
        assert line.row.watermark == number(200) - 1
        assert "a gap" in line.words


@pytest.mark.parametrize("says", ["LATEST", "AT_TIMESTAMP"])
def test_what_is_no_place_is_left_open(says: str) -> None:
    line = only(lease(B, says))
    assert (line.becomes, line.row) == ("time", None)


# ---- shards without a lease --------------------------------------------------------------------------------


def test_a_shard_whose_lease_was_removed_is_finished_when_what_continues_it_has_one() -> None:
    line = only(lease(B, str(number(250))), of=A)
    assert line.row is not None
    assert (line.becomes, line.row.finished) == ("finished", True)


def test_a_shard_between_two_leases_is_read_when_the_one_before_it_has_not_ended() -> None:
    child = Shard(D, number(300), (B,), stream=LABEL)
    lines = planned(lease(A, str(number(150))), lease(D, "TRIM_HORIZON"), shards=(*SHARDS, child))
    between = next(line for line in lines if line.shard_id == B)
    assert (between.becomes, between.row and between.row.watermark) == ("beginning", number(200) - 1)


def test_a_child_that_kcl_has_not_begun_is_read_whole() -> None:
    for first in ("SHARD_END", str(number(150))):
        line = only(lease(A, first), of=C)
        assert line.row is not None
        assert (line.becomes, line.row.watermark) == ("beginning", number(200) - 1)


def test_a_shard_that_kcl_does_not_know_is_read_from_its_oldest_record() -> None:
    lone = Shard(D, number(150), stream=LABEL)
    lines = planned(lease(A, "SHARD_END"), shards=(*SHARDS, lone), d=number(170))
    line = next(line for line in lines if line.shard_id == D)
    assert (line.becomes, line.row and line.row.watermark) == ("beginning", number(170))
    assert "does not know" in line.words


def test_a_stream_of_which_no_shard_has_a_lease_is_told_and_left_alone() -> None:
    earlier = stream(Shard("shardId-00000001795800000000-eeeeeeee", 5), label="2026-11-27T10:00:00.000")
    plan = plan_import(table_of("1.x"), [earlier, stream()])
    assert plan.untouched == ("2026-11-27T10:00:00.000",)
    assert {line.stream for line in plan.lines} == {LABEL}


# ---- what is lost ------------------------------------------------------------------------------------------


def test_what_is_trimmed_behind_a_checkpoint_is_told_as_a_gap_and_left_to_be_read_as_one() -> None:
    lines = {place: only(lease(B, str(number(250))), b=number(place)) for place in (250, 251)}
    assert [("a gap" in line.words) for line in lines.values()] == [False, True]
    assert {line.row.watermark for line in lines.values() if line.row} == {number(250)}


def test_a_shard_that_is_gone_before_its_end_is_a_named_gap() -> None:
    vanished = "shardId-00000001795842000000-99999999"
    line = planned(lease(B, "TRIM_HORIZON"), lease(vanished, str(number(50))))[-1]
    assert (line.shard_id, line.becomes) == (vanished, "gap")
    assert line.gap is not None
    assert (line.gap.shard_id, line.gap.first, line.gap.from_ms) == (vanished, number(51), 1_795_842_000_000)


@pytest.mark.parametrize("says", ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
def test_a_shard_that_is_gone_before_it_began_is_a_gap_too(says: str) -> None:
    line = planned(lease(B, "TRIM_HORIZON"), lease("gone", says))[-1]
    assert line.gap is not None
    assert line.gap.first == 1


def test_a_shard_that_is_gone_after_its_end_is_nothing() -> None:
    line = planned(lease(B, "TRIM_HORIZON"), lease("gone", "SHARD_END"))[-1]
    assert (line.becomes, line.row, line.gap) == ("nothing", None, None)


# ---- the wrong table ---------------------------------------------------------------------------------------


def test_leases_of_kinesis_are_refused_as_such() -> None:
    with pytest.raises(SettingsError, match="shards of Kinesis"):
        plan_import(table_of("kinesis"), [stream()])


def test_an_empty_table_and_one_of_another_stream_are_refused() -> None:
    with pytest.raises(SettingsError, match="it is empty"):
        plan_import(read_table("t", []), [stream()])
    with pytest.raises(SettingsError, match="it has gone"):
        plan_import(read_table("t", [lease("gone", "12")]), [stream()])


# ---- joining -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("watermark", "ranges", "imported", "joint"),
    [
        (10, (), 9, (10, ())),
        (10, (), 10, (10, ())),
        (10, (), 11, (11, ())),
        (10, ((13, 15),), 11, (11, ((13, 15),))),
        (10, ((13, 15),), 12, (15, ())),
        (10, ((13, 15),), 14, (15, ())),
        (10, ((13, 15), (16, 20), (22, 23)), 12, (20, ((22, 23),))),
        (10, ((13, 15),), 99, (99, ())),
    ],
)
def test_joining_settles_what_either_has_settled(
    watermark: int, ranges: tuple[tuple[int, int], ...], imported: int, joint: tuple[int, object]
) -> None:
    here = CheckpointRow(4, 7, watermark, ranges)
    row = joined(here, CheckpointRow(watermark=imported))
    assert (row.watermark, row.ranges) == joint
    assert row.epoch == (4 if imported <= watermark else 5)


def test_joining_with_a_finished_shard_finishes_it_and_never_the_other_way() -> None:
    finished = CheckpointRow(watermark=20, finished=True)
    assert joined(CheckpointRow(4, 7, 10, ((12, 30),)), finished).finished
    assert joined(CheckpointRow(4, 7, 20, finished=True), CheckpointRow(watermark=11)).epoch == 4
