"""What a handler's checkpoints become: the place from which KCL reads on, so that it skips nothing."""

from typing import Any

import pytest

from tailrace.kcl.core.exporting import ExportedLease, ExportPlan, KeyForm, SetAside, plan_export
from tailrace.kcl.core.importing import ReadableStream
from tailrace.kcl.core.lease_table import KclLease, read_lease_item, read_table
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.sources.dialects import ALTERNATOR
from tailrace.streams.shards import Shard
from tests.unit.kcl.golden import LABEL, NAME, SHARDS, A, B, C, lease, number, stream

FORM = KeyForm()
ENDED = CheckpointRow(watermark=number(199), finished=True)
HERE = {(LABEL, A): ENDED, (LABEL, B): CheckpointRow(3, 9, number(250))}


def plan(
    rows: dict[tuple[str, str], CheckpointRow] | None = None,
    *set_aside: SetAside,
    leases: dict[str, KclLease] | None = None,
    keys: KeyForm = FORM,
    streams: list[ReadableStream] | None = None,
    **options: bool,
) -> ExportPlan:
    return plan_export(
        streams or [stream()], HERE if rows is None else rows, set_aside, leases or {}, keys, **options
    )


def of(plan: ExportPlan, shard_id: str) -> ExportedLease:
    (line,) = [line for line in plan.lines if line.shard_id == shard_id]
    return line


def text(plan: ExportPlan, shard_id: str) -> str | None:
    checkpoint = of(plan, shard_id).checkpoint
    return None if checkpoint is None else checkpoint.text


def known(shard_id: str, checkpoint: str, **attributes: Any) -> dict[str, KclLease]:
    return {shard_id: read_lease_item("t", lease(shard_id, checkpoint, **attributes))}


# ---- places ------------------------------------------------------------------------------------------------


def test_a_watermark_is_the_checkpoint_a_finished_shard_its_end_and_the_next_one_begins() -> None:
    exported = plan()
    assert [text(exported, shard) for shard in (A, B, C)] == ["SHARD_END", str(number(250)), "TRIM_HORIZON"]


def test_a_shard_that_waits_for_its_parent_gets_no_lease() -> None:
    exported = plan({(LABEL, A): CheckpointRow(watermark=number(150))})
    assert [text(exported, shard) for shard in (A, B, C)] == [str(number(150)), None, None]


@pytest.mark.parametrize(("place", "says"), [(199, "TRIM_HORIZON"), (200, str(number(200)))])
def test_a_shard_of_which_nothing_is_settled_begins(place: int, says: str) -> None:
    assert text(plan({**HERE, (LABEL, B): CheckpointRow(watermark=number(place))}), B) == says


def test_what_is_settled_beyond_the_watermark_is_told_as_repeated() -> None:
    ranges = ((number(260), number(270)), (number(280), number(281)))
    line = of(plan({**HERE, (LABEL, B): CheckpointRow(watermark=number(250), ranges=ranges)}), B)
    assert line.checkpoint is not None
    assert line.checkpoint.text == str(number(250))
    assert "2 settled ranges" in line.words
    assert "delivered again" in line.words


def test_what_is_trimmed_behind_the_watermark_is_told_for_kcl_does_not() -> None:
    for place, is_told in ((250, False), (251, True)):
        line = of(plan(streams=[stream(gone={B: number(place)})]), B)
        assert ("KCL will not say so" in line.words) is is_told


def test_a_number_of_several_records_is_left_until_all_of_them_are_settled() -> None:
    shard = Shard("H 1:0123456789abcdef0123456789abcdef", ALTERNATOR.number("5"), stream=LABEL)
    alternator = ReadableStream(LABEL, NAME, (shard,), ALTERNATOR)
    for watermark, wire in ((ALTERNATOR.last("9"), 9), (ALTERNATOR.last("9") - 1, 8)):
        rows = {(LABEL, shard.shard_id): CheckpointRow(watermark=watermark)}
        says = text(plan(rows, streams=[alternator]), shard.shard_id)
        assert says is not None
        assert int(says) == wire


# ---- what is set aside -------------------------------------------------------------------------------------


def test_a_checkpoint_goes_before_the_first_parked_change() -> None:
    parked = [SetAside(B, number(place), "o1") for place in (230, 240)]
    exported = plan(None, *parked)
    assert text(exported, B) == str(number(229))
    assert exported.repeated == tuple(parked)
    assert exported.only_here == ()


def test_a_parked_change_beyond_the_watermark_moves_nothing() -> None:
    assert text(plan(None, SetAside(B, number(251), "o1")), B) == str(number(250))


def test_a_parked_change_reopens_a_finished_shard() -> None:
    assert text(plan(None, SetAside(A, number(150), "o1")), A) == str(number(149))
    assert text(plan(None, SetAside(A, number(100), "o1")), A) == "TRIM_HORIZON"


def test_what_is_parked_and_no_longer_in_the_stream_is_here_alone() -> None:
    for gone, is_here_alone in ((229, False), (230, True)):
        parked = SetAside(B, number(230), "o1")
        exported = plan(None, parked, streams=[stream(gone={B: number(gone)})])
        assert exported.only_here == ((parked,) if is_here_alone else ())
        assert text(exported, B) == str(number(250 if is_here_alone else 229))
    vanished = SetAside("gone", 5, "o1")
    assert plan(None, vanished).only_here == (vanished,)


def test_what_is_to_stay_is_left_and_named() -> None:
    parked = SetAside(B, number(230), "o1")
    exported = plan(None, parked, leaves_parked=True)
    assert (text(exported, B), exported.only_here, exported.repeated) == (str(number(250)), (parked,), ())


def test_what_was_saved_from_the_trim_lowers_nothing_for_it_was_never_passed() -> None:
    saved = SetAside(B, number(260), "o1", is_evacuated=True)
    assert text(plan(None, saved), B) == str(number(250))
    assert plan(None, saved, streams=[stream(gone={B: number(260)})]).only_here == (saved,)


def test_the_state_of_an_open_window_is_told_to_stay() -> None:
    for state, is_told in (("{}", True), (None, False)):
        row = CheckpointRow(watermark=number(250), window=(0, 60_000, state))
        assert ("window" in of(plan({**HERE, (LABEL, B): row}), B).words) is is_told


# ---- leases that are there ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        ("AT_TIMESTAMP", str(number(250))),
        ("TRIM_HORIZON", str(number(250))),
        ("LATEST", str(number(250))),
        (str(number(249)), str(number(250))),
        (str(number(250)), str(number(250))),
        (str(number(251)), None),
        ("SHARD_END", None),
    ],
)
def test_the_later_of_two_checkpoints_stays_and_what_is_no_place_goes(seen: str, says: str | None) -> None:
    line = of(plan(leases=known(B, seen)), B)
    assert (line.item is None) == (says is None)
    assert line.checkpoint is not None
    assert line.checkpoint.text == (says or seen)


def test_a_lease_that_is_written_again_keeps_what_it_has_but_for_its_owner() -> None:
    leases = known(
        B,
        "TRIM_HORIZON",
        leaseCounter={"N": "41"},
        leaseOwner={"S": "w"},
        checkpointOwner={"S": "v"},
        pendingCheckpoint={"S": "9"},
        throughputKBps={"N": "3"},
    )
    item = of(plan(leases=leases), B).item
    assert item is not None
    assert item["leaseCounter"] == {"N": "42"}
    assert item["throughputKBps"] == {"N": "3"}
    assert not {"leaseOwner", "checkpointOwner", "pendingCheckpoint"} & item.keys()


# ---- forms -------------------------------------------------------------------------------------------------


def test_each_version_gets_the_attributes_that_it_knows() -> None:
    names = {form: set(of(plan(keys=KeyForm(form)), A).item or {}) for form in ("1", "2", "3", "3.5")}  # type: ignore[arg-type]
    assert names["2"] - names["1"] == {"startingHashKey", "endingHashKey", "childShardIds"}
    assert names["3"] == names["2"]
    assert names["3.5"] - names["3"] == {"entityType"}
    item = of(plan(), A).item
    assert item is not None
    assert item["childShardIds"] == {"SS": [B, C]}
    assert "childShardIds" not in (of(plan(), B).item or {})
    assert of(plan(), B).item == {
        "leaseKey": {"S": B},
        "leaseCounter": {"N": "0"},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
        "checkpoint": {"S": str(number(250))},
        "checkpointSubSequenceNumber": {"N": "0"},
        "parentShardId": {"SS": [A]},
        "startingHashKey": {"S": "0"},
        "endingHashKey": {"S": "1"},
    }


@pytest.mark.parametrize("form", ["1", "2", "3", "3.5"])
@pytest.mark.parametrize("account", ["", "123456789012"])
def test_what_is_written_reads_as_what_was_meant(form: str, account: str) -> None:
    exported = plan(keys=KeyForm(form, account))  # type: ignore[arg-type]
    table = read_table("t", [line.item for line in exported.lines if line.item])
    assert {row.shard_id: row.checkpoint.text for row in table.leases} == {
        shard.shard_id: text(exported, shard.shard_id) for shard in SHARDS
    }
    assert {row.stream for row in table.leases} == {NAME if account else ""}
    assert all(row.owners == () for row in table.leases)


# ---- streams that are off ----------------------------------------------------------------------------------

EARLIER = "2026-11-27T10:00:00.000"
OLD = Shard("shardId-00000001795800000000-eeeeeeee", 5, last=9, stream=EARLIER)


def test_an_unfinished_shard_of_a_stream_that_is_off_is_left_and_told() -> None:
    streams = [stream(OLD, label=EARLIER), stream()]
    for row, is_left in (
        (CheckpointRow(watermark=7), True),
        (CheckpointRow(watermark=9, finished=True), False),
    ):
        exported = plan({**HERE, (EARLIER, OLD.shard_id): row}, streams=streams)
        assert [line.shard_id for line in exported.left] == ([OLD.shard_id] if is_left else [])
    assert plan(streams=streams).left == []


def test_a_table_for_several_streams_has_room_for_a_stream_that_is_off() -> None:
    streams = [stream(OLD, label=EARLIER), stream()]
    rows = {**HERE, (EARLIER, OLD.shard_id): CheckpointRow(watermark=7)}
    exported = plan(rows, streams=streams, keys=KeyForm("2", "123456789012"))
    assert exported.left == []
    assert text(exported, OLD.shard_id) == f"{7:021d}"
