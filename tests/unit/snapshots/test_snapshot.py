"""What makes a snapshot due, how it goes from phase to phase, and what its rows say."""

from msgspec.structs import replace

from tailrace.rows.writes import Absent, Equals, StateRow
from tailrace.snapshots.core.due import asked, due, following
from tailrace.snapshots.core.forgetting import forget_before
from tailrace.snapshots.core.pages import Piece, ScannedItem, pieces, scan_record
from tailrace.snapshots.core.snapshot import (
    Part,
    PartFilter,
    ScanProgress,
    Segment,
    Snapshot,
    WantedSnapshot,
    begun,
    claimed,
    read_snapshot,
    read_wanted,
    saved,
)
from tailrace.streams.version import Version

WANTED = WantedSnapshot("shop", "mirror", 1)
BEGUN = begun(WANTED, None, 5, "2026-11-01", [])
DONE = replace(BEGUN, phase="done")
STREAM = "2026-11-01"


# ---- due ---------------------------------------------------------------------------------------------------


def test_the_first_start_makes_one_due_once() -> None:
    assert due(None, None, STREAM, []) == "first"
    assert due(WANTED, None, STREAM, []) is None
    assert due(WANTED, DONE, STREAM, []) is None


def test_a_gap_makes_one_due_unless_the_last_one_fills_it() -> None:
    assert due(WANTED, DONE, STREAM, ["gap/1@9"]) == "gap"
    assert due(WANTED, replace(DONE, gaps=("gap/1@9",)), STREAM, ["gap/1@9"]) is None
    assert due(WANTED, replace(DONE, gaps=("gap/1@9",)), STREAM, ["gap/1@10"]) == "gap", "it has grown"


def test_another_stream_makes_one_due() -> None:
    assert due(WANTED, DONE, "2026-11-02", []) == "stream"
    assert due(WANTED, DONE, None, []) is None


def test_one_that_is_at_work_or_wanted_is_finished_first() -> None:
    assert due(WANTED, replace(BEGUN, phase="sweeping"), "2026-11-02", ["gap"]) is None
    assert due(replace(WANTED, number=2), DONE, "2026-11-02", ["gap"]) is None


def test_one_that_has_failed_is_made_again_when_something_new_is_lost() -> None:
    assert due(WANTED, replace(DONE, phase="failed"), STREAM, []) is None
    assert due(WANTED, replace(DONE, phase="failed"), STREAM, ["gap"]) == "gap"


def test_the_next_one_has_the_next_number_and_stays_paused() -> None:
    paused = replace(WANTED, paused_by="me", revision=4, read_units=9.0, part=Part(segment=(0, 2)))
    after = following(paused, "shop", "mirror", "gap", 7)
    assert (after.number, after.paused_by, after.read_units, after.revision) == (2, "me", 9.0, 4)
    assert after.part.is_whole


FILTERED = Part(segment=(0, 4), filter=PartFilter("n = :n", values='{":n":{"N":"1"}}'))


def test_a_part_by_a_filter_is_no_whole_is_kept_and_sweeps_nothing() -> None:
    assert not Part(filter=FILTERED.filter).is_whole
    assert FILTERED.of((100, 80)) == (0, 20), "how many items it takes is not known"
    scanning = replace(
        begun(replace(WANTED, part=FILTERED), DONE, 9, STREAM, []).scanning_exactly(1), claim=1
    )
    _, write = saved(None, scanning)
    assert write.fields is not None
    assert read_snapshot("shop", "mirror", StateRow(write.key, write.fields)) == scanning
    assert scanning.with_page(0, None, Version(1, 5), ScanProgress(1, 2)).phase == "done"
    failed = scanning.with_page(0, None, Version(1, 5), ScanProgress(1, 2, failures=1))
    assert failed.phase == "failed"


def test_every_piece_has_the_filter_of_its_part() -> None:
    chosen = FILTERED.filter
    assert pieces(FILTERED, 9) == (Piece(segment=(0, 4), filter=chosen),)
    assert pieces(Part(filter=chosen), 2)[1] == Piece(segment=(1, 2), filter=chosen)
    assert pieces(Part(('{"S":"a"}',), filter=chosen), 2) == (Piece('{"S":"a"}', filter=chosen),)


# ---- progress ----------------------------------------------------------------------------------------------


def at_work(items: int, worked_ms: int, estimate: int = 1_000) -> Snapshot:
    return replace(
        BEGUN, phase="scanning", progress=ScanProgress(1, items), worked_ms=worked_ms, estimate=(estimate, 0)
    )


def test_what_is_left_is_told_by_the_rate_of_reading() -> None:
    assert (at_work(250, 5_000).items_per_s, at_work(250, 5_000).left_ms) == (50.0, 15_000)
    assert at_work(999, 999).left_ms == 1
    for unknown in (at_work(0, 5_000), at_work(250, 0), at_work(1_000, 9), at_work(1, 9, estimate=0)):
        assert unknown.left_ms is None
    assert replace(at_work(250, 5_000), phase="sweeping").left_ms is None


def test_times_are_kept_with_each_step() -> None:
    before = replace(at_work(1, 100), moved_ms=7)
    beat = before.timed(before, 50, 30)
    assert (beat.moved_ms, beat.worked_ms, beat.ended_ms) == (7, 130, 0), "that one is at it is no progress"
    page = before.timed(replace(before, progress=ScanProgress(2, 2)), 50, 30)
    assert (page.moved_ms, page.worked_ms, page.ended_ms) == (50, 130, 0)
    over = replace(before, phase="sweeping").timed(replace(before, phase="done"), 60, 30)
    assert (over.moved_ms, over.worked_ms, over.ended_ms) == (60, 100, 60), "sweeping reads no table"
    assert over.timed(over, 99, 5).ended_ms == 60


def test_a_part_is_its_share_of_an_estimate() -> None:
    assert Part().of((10, 99)) == (10, 99)
    assert Part(segment=(0, 4)).of((10, 99)) == (3, 25)
    assert Part(('{"S":"a"}',)).of((10, 99)) == (0, 0), "nobody knows how much is in it"


def test_rows_of_before_times_were_kept_are_read() -> None:
    timed = replace(at_work(3, 40), moved_ms=8, ended_ms=9)
    _, write = saved(None, timed)
    assert write.fields is not None
    assert read_snapshot("shop", "mirror", StateRow(write.key, write.fields)) == timed
    old = {name: value for name, value in write.fields.items() if name not in ("moved_ms", "worked_ms")}
    read = read_snapshot("shop", "mirror", StateRow(write.key, old))
    assert read == replace(timed, moved_ms=0, worked_ms=0)


# ---- phases ------------------------------------------------------------------------------------------------


def test_exact_pages_are_ordered_by_their_positions_and_swept_below_the_smallest() -> None:
    snapshot = BEGUN.scanning_exactly(2)
    assert snapshot.version(900, 3, 5) == Version(3, 900)
    snapshot = snapshot.with_page(1, {"id": 1}, Version(3, 900), ScanProgress(1, 4))
    snapshot = snapshot.with_page(0, None, Version(3, 910), ScanProgress(1, 2))
    assert snapshot.phase == "scanning"
    snapshot = snapshot.with_page(1, None, Version(3, 950), ScanProgress(1, 1))
    assert (snapshot.phase, snapshot.below, snapshot.tombstone) == (
        "sweeping",
        Version(3, 900),
        Version(3, 899),
    )
    assert (snapshot.progress.pages, snapshot.progress.items) == (3, 7)


def test_rows_of_the_first_scan_are_older_than_every_change_and_nothing_is_swept() -> None:
    snapshot = BEGUN.scanning_first(1)
    assert snapshot.version(None, 1, 77) == Version(0, 77)
    assert snapshot.with_page(0, None, Version(0, 77), ScanProgress(1, 1)).phase == "done"


def test_rows_of_a_reset_are_swept_below_its_number_and_as_of_the_end_of_the_scan() -> None:
    snapshot = BEGUN.agreeing(3, 8, 1).agreed()
    assert snapshot.version(None, 4, 77) == Version(3, 77)
    snapshot = snapshot.with_page(0, None, Version(3, 77), ScanProgress(1, 1))
    assert (snapshot.below, snapshot.tombstone) == (Version(3, 0), Version(3, 78))
    assert snapshot.with_swept(1_000, is_last=False).phase == "sweeping"
    assert snapshot.with_swept(3, is_last=True).phase == "done"


def test_what_could_not_be_written_is_counted_and_nothing_is_swept() -> None:
    read = ScanProgress(1, 1, failures=1, failed=(("6f31", "it is too large"),))
    snapshot = BEGUN.agreeing(3, 8, 1).agreed().with_page(0, None, Version(3, 77), read)
    assert (snapshot.phase, snapshot.progress.failures) == ("failed", 1)
    assert snapshot.is_over


def test_only_some_of_what_failed_is_named() -> None:
    read = ScanProgress(failures=8, failed=(("6f31", "no"),) * 8)
    snapshot = BEGUN.scanning_first(2).with_page(0, None, Version(0, 1), read)
    snapshot = snapshot.with_page(1, None, Version(0, 1), read)
    assert (snapshot.progress.failures, len(snapshot.progress.failed)) == (16, 10)


# ---- parts of the table ------------------------------------------------------------------------------------

ONE = Part(segment=(0, 2))


def test_a_part_fills_no_gap_and_is_no_answer_to_another_stream() -> None:
    part = replace(
        begun(replace(WANTED, number=2, part=ONE), DONE, 9, "2026-11-02", ["gap/1@9"]), phase="done"
    )
    assert (part.stream, part.gaps, part.owes_whole) == (STREAM, (), False)
    wanted = replace(WANTED, number=2, part=ONE)
    assert due(wanted, part, STREAM, []) is None
    assert due(wanted, part, STREAM, ["gap/1@9"]) == "gap"
    assert due(wanted, part, "2026-11-02", []) == "stream"


def test_a_part_that_takes_the_place_of_a_whole_one_makes_that_due_again_once() -> None:
    for before in (BEGUN, replace(BEGUN, phase="sweeping"), replace(BEGUN, phase="failed"), None):
        wanted = replace(WANTED, number=2, part=ONE)
        part = begun(wanted, before, 9, STREAM, [])
        assert due(wanted, part, STREAM, []) is None, "it is at work"
        part = replace(part, phase="done")
        assert due(wanted, part, STREAM, []) == "whole"
        another = replace(begun(replace(wanted, number=3), part, 11, STREAM, []), phase="done")
        assert due(replace(wanted, number=3), another, STREAM, []) == "whole", "nor is another part the whole"
        whole = replace(begun(replace(WANTED, number=4), another, 12, STREAM, []), phase="done")
        assert due(replace(WANTED, number=4), whole, STREAM, []) is None


def test_a_whole_one_that_a_part_took_the_place_of_before_it_began_is_due_again() -> None:
    next_whole = replace(WANTED, number=2)
    part = asked(next_whole, DONE, "shop", "mirror", ONE, 7)
    assert (part.number, part.part, part.owes_whole) == (3, ONE, True)
    assert asked(part, DONE, "shop", "mirror", ONE, 8).owes_whole, "nor had that begun"
    done = replace(begun(part, DONE, 9, STREAM, []), phase="done")
    assert due(part, done, STREAM, []) == "whole"
    assert not asked(WANTED, DONE, "shop", "mirror", ONE, 7).owes_whole, "what has begun is in the other row"
    assert not asked(next_whole, DONE, "shop", "mirror", Part(), 7).owes_whole
    assert not asked(None, None, "shop", "mirror", ONE, 7).owes_whole


# ---- rows --------------------------------------------------------------------------------------------------


def test_a_snapshot_is_read_as_it_was_written() -> None:
    snapshot = Snapshot(
        "shop", "mirror", 3, "sweeping", "gap", Part(('{"S":"a"}',), None), "s3://x", True, 4, 9,
        Version(4, 10**40), STREAM, ("gap/1@9",), (Segment({"id": {"S": "b"}}), Segment(None, True)),
        ScanProgress(1, 2, 3, 4.5, 6, 7, (("6f31", "no"),)), (8, 9), 10, b"\x00\xff", 11, 12,
        "pid-1", 13, 14, 15, owes_whole=True,
    )  # fmt: skip
    written, write = saved(None, snapshot)
    assert write.fields is not None
    assert read_snapshot("shop", "mirror", StateRow(write.key, write.fields)) == written


def test_what_is_wanted_is_read_as_it_was_written() -> None:
    wanted = WantedSnapshot(
        "shop", "mirror", 3, "asked", Part(segment=(1, 4)), "s3://x", 5.5, "me", 7, 8, "0169", True
    )
    write = wanted.write()
    assert write.fields is not None
    assert write.condition == Equals("revision", 8)
    assert read_wanted("shop", "mirror", StateRow(write.key, write.fields)) == replace(wanted, revision=9)
    assert WantedSnapshot("shop", "mirror", 1).write().condition == Absent()


def test_every_write_is_conditional_on_the_one_before() -> None:
    first, write = saved(None, claimed(BEGUN, "pid-1", 0))
    assert write.condition == Absent()
    second, write = saved(first, first.scanning_first(1))
    assert write.condition == Equals("stamp", "1/1/0")
    assert second.stamp == "1/1/1"


def test_one_that_is_over_is_no_workers() -> None:
    first, _ = saved(None, claimed(BEGUN, "pid-1", 0))
    assert saved(first, replace(first, phase="done"))[0].claimed_by == ""


# ---- pages, forgetting -------------------------------------------------------------------------------------


def test_a_table_is_read_in_pieces() -> None:
    assert pieces(Part(), 1) == (Piece(),)
    assert pieces(Part(), 3) == tuple(Piece(segment=(place, 3)) for place in range(3))
    assert pieces(Part(segment=(2, 5)), 3) == (Piece(segment=(2, 5)),)
    assert [piece.partition for piece in pieces(Part(("a", "b")), 3)] == ["a", "b"]


def test_an_item_that_was_read_is_an_insert_with_the_version_of_its_page() -> None:
    item = ScannedItem(b"k", 7, {"id": {"S": "a"}}, {"id": {"S": "a"}, "n": {"N": "1"}}, 12)
    record = scan_record(item, Version(3, 99), 5)
    assert (record.event_name, record.version, record.created_us) == ("INSERT", Version(3, 99), 5)
    assert (record.new, record.old) == (b'{"id":{"S":"a"},"n":{"N":"1"}}', None)
    gone = scan_record(replace(item, image=None, written_us=4), Version(0, 4), 5)
    assert (gone.event_name, gone.new, gone.created_us) == ("REMOVE", None, 5)


def test_deletions_are_kept_as_long_as_something_older_may_come() -> None:
    assert forget_before(1_000, 100, [], [], margin_ms=10) == 900
    assert forget_before(1_000, 100, [905, 500], [], margin_ms=10) == 490
    assert forget_before(1_000, 100, [], [replace(BEGUN, begun_ms=700)], margin_ms=10) == 690
    assert forget_before(1_000, 100, [], [replace(DONE, begun_ms=700)], margin_ms=10) == 900
