"""Properties of streams: the lineage, the forms of records, tokens, sequence numbers, dates.

Rules of this file: expected answers come from plain loops over everything, or from the inverse function.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailrace.errors import ApiError
from tailrace.streams.arns import parse_stream_arn, stream_arn, table_arn
from tailrace.streams.dates import label, moment
from tailrace.streams.envelopes import (
    api_record,
    event_id,
    lambda_event,
    locate,
    view_size,
)
from tailrace.streams.iterators import LIFE_MS, Iterator, read_token
from tailrace.streams.moment import Now
from tailrace.streams.record import VIEW_TYPES, ChangeRecord, SequenceNumber, following, log_row, read_log_row
from tailrace.streams.shards import HASHES, HashedShard, children, initial, rollover, shard_for, split

relaxed = settings(deadline=None, max_examples=60)
"""Examples may take long on a busy machine; that is not what is tested."""
LABEL = "2026-01-01T00:00:00.000"
ROLLOVER_MS = 14_400_000
NUMBERS = st.integers(0, (1 << 63) - 1)
HASH = st.integers(0, HASHES - 1)
TIMES = st.integers(0, 250_000_000_000_000)


# ---- the lineage -------------------------------------------------------------------------------------------


class Lineage(RuleBasedStateMachine):
    """A stream whose shards roll over and split at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.shards: list[HashedShard] = []
        self.wall_ms = 1_767_225_600_000
        self.sequence = 0

    def next_sequence(self) -> int:
        self.sequence = following(self.sequence, self.wall_ms)
        return self.sequence

    def next_number(self) -> int:
        return 1 + max(shard.number for shard in self.shards)

    def open_shards(self) -> list[HashedShard]:
        return sorted((shard for shard in self.shards if not shard.is_closed), key=lambda shard: shard.first)

    def replace(self, old: HashedShard, *new: HashedShard) -> None:
        self.shards = [shard for shard in self.shards if shard.number != old.number]
        self.shards.extend(new)

    @initialize(count=st.integers(1, 9))
    def begin(self, count: int) -> None:
        self.shards = initial(LABEL, count, 1, self.wall_ms, self.next_sequence())

    @rule(which=st.integers(0, 99), passed_ms=st.integers(0, ROLLOVER_MS))
    def roll(self, which: int, passed_ms: int) -> None:
        self.wall_ms += passed_ms
        chosen = self.open_shards()[which % len(self.open_shards())]
        ending, starting = self.next_sequence(), self.next_sequence()
        number = self.next_number()
        self.replace(chosen, *rollover(chosen, LABEL, number, self.wall_ms, ending=ending, starting=starting))

    @rule(which=st.integers(0, 99))
    def divide(self, which: int) -> None:
        chosen = self.open_shards()[which % len(self.open_shards())]
        if chosen.first < chosen.last:
            ending, starting = self.next_sequence(), self.next_sequence()
            number = self.next_number()
            self.replace(
                chosen, *split(chosen, LABEL, number, self.wall_ms, ending=ending, starting=starting)
            )

    @invariant()
    def open_shards_divide_all_hashes(self) -> None:
        shards = self.open_shards()
        bounds = [(shard.first, shard.last) for shard in shards]
        assert bounds[0][0] == 0
        assert bounds[-1][1] == HASHES - 1
        assert all(low[1] + 1 == high[0] for low, high in pairwise(bounds))

    @invariant()
    def each_hash_has_one_line_of_shards(self) -> None:
        probes = {0, HASHES - 1}
        for shard in self.shards[:4] + self.shards[-4:]:
            probes |= {shard.first, shard.last}
        for partition in probes:
            line = [shard for shard in self.shards if shard.first <= partition <= shard.last]
            line.sort(key=lambda shard: shard.starting)
            assert line[-1] is shard_for(self.open_shards(), partition)
            for parent, child in pairwise(line):
                assert child.parent_id == parent.shard_id
                assert parent.ending is not None
                assert parent.ending < child.starting

    @invariant()
    def every_closed_shard_has_children_and_no_id_comes_twice(self) -> None:
        assert len({shard.shard_id for shard in self.shards}) == len(self.shards)
        assert len({shard.number for shard in self.shards}) == len(self.shards)
        for shard in self.shards:
            follow = children(self.shards, shard.shard_id)
            assert (len(follow) in (1, 2)) == shard.is_closed
            if shard.is_closed:
                assert sum(child.last - child.first + 1 for child in follow) == shard.last - shard.first + 1


TestLineage = Lineage.TestCase
TestLineage.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@relaxed
@given(HASH, st.integers(1, 200))
def test_every_hash_has_the_shard_that_a_search_of_all_finds(partition: int, count: int) -> None:
    shards = initial(LABEL, count, 1, 0, 0)
    assert [shard_for(shards, partition)] == [one for one in shards if one.first <= partition <= one.last]


# ---- records -----------------------------------------------------------------------------------------------


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IMAGES = st.dictionaries(
    TEXTS, st.one_of(st.fixed_dictionaries({"S": TEXTS}), st.just({"NULL": True})), max_size=4
)


@st.composite
def records(draw: st.DrawFn) -> ChangeRecord:
    """A record as the engine may write it."""
    keys_size, old_size, new_size = (draw(st.integers(0, 409_600)) for _ in range(3))
    old, new = (draw(st.none() | IMAGES) for _ in range(2))
    if old is None and new is None:
        new = {}
    if old is None:
        old_size = 0
    if new is None:
        new_size = 0
    return ChangeRecord(
        draw(NUMBERS),
        draw(NUMBERS),
        "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        draw(TIMES) * 1_000,
        keys_size + old_size + new_size,
        draw(HASH),
        draw(st.binary(max_size=6_000)),
        orjson.dumps(draw(IMAGES)),
        None if old is None else orjson.dumps(old),
        None if new is None else orjson.dumps(new),
        draw(st.booleans()),
        keys_size,
        new_size,
    )


@relaxed
@given(records())
def test_a_record_survives_the_log(record: ChangeRecord) -> None:
    assert read_log_row(log_row(record)) == record


@relaxed
@given(records())
def test_what_is_shown_is_json_and_true(record: ChangeRecord) -> None:
    for view in VIEW_TYPES:
        shown = json.loads(api_record(record, view, "us-east-1"))
        change = shown["dynamodb"]
        assert shown["eventID"] == event_id(record)
        assert change["ApproximateCreationDateTime"] == record.created_ms // 1_000
        assert SequenceNumber.from_wire(change["SequenceNumber"]) == record.sequence
        assert change["Keys"] == json.loads(record.keys)
        for name, data in (("NewImage", record.new), ("OldImage", record.old)):
            if name in change:
                assert data is not None
                assert change[name] == json.loads(data)
        assert change["SizeBytes"] == view_size(record, view)
        (event,) = json.loads(lambda_event([record], "arn", view, "us-east-1"))["Records"]
        assert event.pop("eventSourceARN") == "arn"
        event.pop("userIdentity", None)
        shown.pop("userIdentity", None)
        assert event == shown


@relaxed
@given(records())
def test_sizes_of_the_view_types_add_up(record: ChangeRecord) -> None:
    keys, new, old, both = (
        view_size(record, view) for view in ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")
    )
    assert keys <= min(new, old) <= max(new, old) <= both
    assert new + old == both + keys


@relaxed
@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_event_ids_lead_back_to_their_records(shard: int, sequence: int, other: int, another: int) -> None:
    one = event_id(ChangeRecord(sequence, shard, "INSERT", 0, 0, 0, b"", b"{}"))
    two = event_id(ChangeRecord(another, other, "INSERT", 0, 0, 0, b"", b"{}"))
    assert locate(one) == (shard, sequence)
    assert (one == two) == ((shard, sequence) == (other, another))


@relaxed
@given(st.text(max_size=40))
def test_no_text_makes_locate_raise_anything_but_its_own_error(text: str) -> None:
    try:
        place = locate(text)
    except ValueError:
        return
    assert event_id(ChangeRecord(place[1], place[0], "INSERT", 0, 0, 0, b"", b"{}")) == text


def refused(read: Callable[[], object]) -> bool:
    """Whether a text gets the client's error; any other error is the test's failure."""
    try:
        read()
    except ApiError as error:
        if error.code != "ValidationException":
            pytest.fail(f"{error.code}: {error.message}")
        return True
    return False


# ---- tokens and numbers ------------------------------------------------------------------------------------


@relaxed
@given(st.text(max_size=300), st.text(max_size=65), st.integers(-1, (1 << 64) - 1), TIMES)
def test_every_iterator_reads_back(arn: str, shard_id: str, after: int, created_ms: int) -> None:
    try:
        arn.encode(), shard_id.encode()
    except UnicodeEncodeError:
        return
    one = Iterator(arn, shard_id, after, created_ms)
    assert read_token(one.token(), Now(created_ms + LIFE_MS, 0)) == one


@relaxed
@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda data: data.decode("latin-1")),
        st.from_regex(r"[A-Za-z0-9_=-]{0,200}"),
    )
)
def test_no_text_makes_a_token_raise_anything_but_its_own_error(text: str) -> None:
    assert refused(lambda: read_token(text, Now(0, 0)))


@relaxed
@given(st.text(), st.text(alphabet="0123456789", max_size=30))
def test_no_text_makes_a_sequence_number_raise_anything_but_its_own_error(text: str, digits: str) -> None:
    for given_text in (text, digits, "100" + digits):
        if not refused(lambda: SequenceNumber.from_wire(given_text)):  # noqa: B023
            assert SequenceNumber.from_wire(given_text).wire == given_text


@relaxed
@given(NUMBERS, NUMBERS)
def test_wire_forms_compare_as_their_numbers(one: int, two: int) -> None:
    assert (SequenceNumber(one).wire < SequenceNumber(two).wire) == (one < two)


@relaxed
@given(st.lists(st.integers(1_000_000_000_000, 2_000_000_000_000), max_size=50))
def test_numbers_rise_whatever_the_clock_does(times: list[int]) -> None:
    last = 0
    for wall_ms in times:
        assert following(last, wall_ms) > last
        last = following(last, wall_ms)


# ---- dates and names ---------------------------------------------------------------------------------------


@relaxed
@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)))
def test_dates_agree_with_the_standard_library(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1_000 * 1_000)
    wall_ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert moment(wall_ms)[:6] == at.timetuple()[:6]
    assert label(wall_ms) == at.isoformat(timespec="milliseconds").removesuffix("+00:00")


@relaxed
@given(st.from_regex(r"[a-zA-Z0-9_.-]{3,255}", fullmatch=True), TIMES)
def test_stream_names_read_back(table: str, wall_ms: int) -> None:
    parsed = parse_stream_arn(stream_arn(table_arn("us-east-1", "000000000000", table), label(wall_ms)))
    assert (parsed.table, parsed.label) == (table, label(wall_ms))


@relaxed
@given(st.text(max_size=1_100))
def test_no_text_makes_a_name_raise_anything_but_its_own_error(text: str) -> None:
    if not refused(lambda: parse_stream_arn(text)):
        assert stream_arn(text.partition("/stream/")[0], parse_stream_arn(text).label) == text
