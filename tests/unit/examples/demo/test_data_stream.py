"""What is counted of the data stream on the way: records that came twice, and changes that were overtaken."""

from typing import Any

from flights_demo.data_stream import Faults, counted, option


def record(event: str, created: int) -> dict[str, Any]:
    """A change as DynamoDB puts it into a data stream, as far as it is counted."""
    return {"eventID": event, "dynamodb": {"ApproximateCreationDateTime": created}}


def test_a_change_behind_a_later_one_is_late_and_one_of_the_same_time_is_not() -> None:
    assert counted([[record("a", 2), record("b", 2), record("c", 1)]]) == Faults(3, 3, 0, 1)


def test_what_comes_again_came_twice_and_is_not_late() -> None:
    assert counted([[record("a", 1), record("b", 2), record("a", 1)]]) == Faults(3, 2, 1, 0)


def test_each_shard_has_times_of_its_own() -> None:
    assert counted([[record("a", 2)], [record("b", 1)]]) == Faults(2, 2, 0, 0)


def test_a_change_that_did_not_come_is_a_difference_and_so_is_one_too_many() -> None:
    assert Faults(3, 2, 1, 1).lack(2) == []
    assert Faults(3, 2, 1, 1).lack(3) == ["data stream: 2 changes came, 3 were written"]
    assert Faults(3, 2, 1, 1).lack(1) == ["data stream: 2 changes came, 1 were written"]


def test_a_way_without_any_fault_has_shown_nothing() -> None:
    assert Faults(2, 2, 0, 0).lack(2) == [
        "data stream: nothing came twice, although it was to",
        "data stream: nothing came late, although it was to",
    ]


def test_the_seed_is_said_to_the_node() -> None:
    assert option(7) == ("--kinesis-faults", "0.1:15m:7")
