"""Several writes at once: all or nothing, with one reason an action."""

import pytest

from tailrace.engine.state import read_write
from tailrace.engine.transact import cancelled
from tailrace.errors import ApiError
from tailrace.ports import ItemWrite
from tailrace.tables.mutate import ConditionCheck, Delete, Operation, Put, Update
from tests.unit.engine.building import condition, item, log_of, names_of, put, with_table

KEY = {"pk": {"S": "a"}}
ABSENT = condition("attribute_not_exists(pk)")


def test_every_action_leaves_its_record_and_a_check_none() -> None:
    engine, _ = with_table()
    put(engine, "a", 1)
    put(engine, "b", 1)
    operations: list[Operation] = [
        Put("orders", item("c", 1)),
        Delete("orders", KEY),
        ConditionCheck("orders", {"pk": {"S": "b"}}, condition("attribute_exists(pk)")),
        Put("orders", item("d", 1)),
    ]
    mutations = engine.transact(operations)
    assert [mutation.changed for mutation in mutations] == [True, True, False, True]
    engine.committer.flush()
    assert names_of(log_of(engine)[2:]) == ["INSERT", "REMOVE", "INSERT"]


def test_one_failed_condition_cancels_everything_and_all_are_told() -> None:
    engine, _ = with_table()
    put(engine, "a", 1)
    put(engine, "b", 1)
    with pytest.raises(ApiError) as failed:
        engine.transact(
            [
                Put("orders", item("c", 1)),
                Put("orders", item("a", 2), ABSENT, return_old_on_failure=True),
                Delete("orders", {"pk": {"S": "b"}}, ABSENT),
            ]
        )
    assert failed.value.code == "TransactionCanceledException"
    assert failed.value.message == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, ConditionalCheckFailed]"
    )
    assert failed.value.extra["CancellationReasons"] == [
        {"Code": "None"},
        {
            "Code": "ConditionalCheckFailed",
            "Item": item("a", 1),
            "Message": "The conditional request failed",
        },
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"},
    ]
    assert not engine.committer.is_dirty


def test_of_several_invalid_actions_only_the_first_is_told() -> None:
    reasons = [
        {"Code": "ConditionalCheckFailed"},
        {"Code": "ValidationError", "Message": "first"},
        {"Code": "ValidationError", "Message": "second"},
    ]
    assert cancelled(reasons).extra["CancellationReasons"] == [
        {"Code": "None"},
        {"Code": "ValidationError", "Message": "first"},
        {"Code": "None"},
    ]


def test_a_wrong_key_inside_an_action_cancels_with_a_validation_error() -> None:
    engine, _ = with_table()
    with pytest.raises(ApiError) as failed:
        engine.transact([Put("orders", item("a")), Delete("orders", {"pk": {"N": "1"}})])
    assert failed.value.extra["CancellationReasons"][1]["Code"] == "ValidationError"


def test_two_actions_on_one_item_are_refused() -> None:
    engine, _ = with_table()
    with pytest.raises(ApiError) as refused:
        engine.transact([Put("orders", item("a")), Delete("orders", KEY)])
    assert refused.value.message == "Transaction request cannot include multiple operations on one item"


def test_a_hundred_actions_are_allowed_and_one_more_is_not() -> None:
    engine, _ = with_table()
    actions = [Put("orders", item(f"item {number}")) for number in range(101)]
    assert len(engine.transact(actions[:100])) == 100
    with pytest.raises(ApiError, match="Member must have length less than or equal to 100"):
        engine.transact(actions)


def test_four_megabytes_are_the_most() -> None:
    engine, _ = with_table()
    actions = [Put("orders", item(f"item {number}", 0, large="x" * 400_000)) for number in range(11)]
    engine.transact(actions[:10])
    with pytest.raises(ApiError) as refused:
        engine.transact(actions)
    assert refused.value.code == "ValidationException"


def test_an_unknown_table_fails_the_whole_request() -> None:
    engine, _ = with_table()
    with pytest.raises(ApiError) as refused:
        engine.transact([Put("orders", item("a")), Put("missing", item("a"))])
    assert refused.value.code == "ResourceNotFoundException"
    assert not engine.committer.is_dirty


def test_actions_in_awss_own_shape_are_read() -> None:
    update = read_write(
        ItemWrite(
            "Update",
            {
                "TableName": "orders",
                "Key": KEY,
                "UpdateExpression": "ADD #n :one",
                "ConditionExpression": "#n < :ten",
                "ExpressionAttributeNames": {"#n": "n"},
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":ten": {"N": "10"}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        )
    )
    assert isinstance(update, Update)
    assert update.update is not None
    assert update.update.apply(item("a", 1)) == item("a", 2)
    assert update.condition is not None
    assert not update.condition.matches(item("a", 10))
    assert update.return_old_on_failure
    assert read_write(ItemWrite("Put", {"TableName": "orders", "Item": KEY})) == Put("orders", KEY)
    assert read_write(ItemWrite("Delete", {"TableName": "orders", "Key": KEY})) == Delete("orders", KEY)


@pytest.mark.parametrize(
    "parameters",
    [
        {"TableName": "orders", "Key": KEY},
        {"TableName": "orders", "Key": KEY, "ConditionExpression": "n = :missing"},
        {
            "TableName": "orders",
            "Key": KEY,
            "ConditionExpression": "attribute_exists(n)",
            "ExpressionAttributeValues": {":unused": {"N": "1"}},
        },
    ],
)
def test_a_malformed_action_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        read_write(ItemWrite("ConditionCheck", parameters))
    assert refused.value.code == "ValidationException"
