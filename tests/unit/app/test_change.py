"""What a handler is given."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tailrace import Batch, Change
from tailrace.streams.envelopes import locate
from tailrace.streams.record import ChangeRecord, change_record


def record(old: dict[str, Any] | None, new: dict[str, Any] | None, **more: Any) -> ChangeRecord:
    """A record of the item a, or of (a, 1) when it has a sort key."""
    image = old or new or {}
    keys = {name: image[name] for name in ("pk", "sk") if name in image}
    return change_record(
        sequence=5,
        shard=3,
        created_ms=1_700_000_000_123,
        partition=0,
        key=b"a",
        keys=keys,
        old=None if old is None else orjson.dumps(old),
        new=None if new is None else orjson.dumps(new),
        size_bytes=9,
        **more,
    )


A = {"pk": {"S": "a"}, "n": {"N": "1"}, "gone": {"BOOL": True}}
B = {"pk": {"S": "a"}, "n": {"N": "2.5"}, "came": {"SS": ["x"]}}


@pytest.mark.parametrize(("old", "new", "name"), [(None, A, "INSERT"), (A, B, "MODIFY"), (A, None, "REMOVE")])
def test_a_change_has_its_images_in_both_forms(old: Any, new: Any, name: str) -> None:
    change = Change(record(old, new), "things")
    assert change.event_name == name
    assert (change.raw_old, change.raw_new) == (old, new)
    assert (change.old is None, change.new is None) == (old is None, new is None)
    assert change.keys == {"pk": "a"}
    assert change.table == "things"


def test_images_are_decoded_once() -> None:
    change = Change(record(A, B), "things")
    assert change.new is change.new
    assert change.raw_new is change.raw_new
    assert change.new == {"pk": "a", "n": Decimal("2.5"), "came": {"x"}}


def test_the_key_is_a_value_or_a_pair() -> None:
    assert Change(record(None, A), "t").key == "a"
    pair = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    assert Change(record(None, pair), "t").key == ("a", Decimal(1))


def test_a_difference_names_what_came_went_and_changed() -> None:
    assert Change(record(A, B), "t").diff() == {
        "n": (Decimal(1), Decimal("2.5")),
        "gone": (True, None),
        "came": (None, {"x"}),
    }
    assert Change(record(A, A), "t").diff() == {}
    assert Change(record(None, A), "t").diff()["pk"] == (None, "a")


def test_a_difference_between_null_and_absent_is_one() -> None:
    with_null = {**A, "x": {"NULL": True}}
    assert "x" in Change(record(A, with_null), "t").diff()


def test_identity_time_and_origin() -> None:
    change = Change(record(None, A, by_ttl=True), "t")
    assert locate(change.event_id) == (3, 5)
    assert change.sequence_number == "1000000000000000000005"
    assert change.at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
    assert change.by_ttl
    assert repr(change) == "<Change INSERT t/a 1000000000000000000005>"


def test_looking_at_a_transaction_records_nothing() -> None:
    change = Change(record(None, A), "t")
    assert not change.has_transaction
    assert change.transaction.writes == ()
    assert not change.has_transaction
    change.transaction.delete("t", {"pk": "a"})
    assert change.has_transaction


def test_a_batch_is_a_sequence() -> None:
    changes = [Change(record(None, A), "t"), Change(record(A, None), "t")]
    batch = Batch(changes, "shard", 2)
    assert (len(batch), batch[0], list(batch), batch[-1:]) == (2, changes[0], changes, changes[1:])
    assert (batch.shard_id, batch.attempt) == ("shard", 2)
