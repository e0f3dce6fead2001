"""Members that AWS's model does not know: ignored at any depth, in any operation, and never met
by the code behind.
"""

from typing import Any

import pytest

from tests.conformance.client import Conformance, key

INVALID = "One or more parameter values were invalid: "
ONE_UPDATE = (
    f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
    "GlobalSecondaryIndexUpdate.Delete must not be null"
)
INDEX = {
    "IndexName": "byOther",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
PUT = {"Put": {"TableName": "things", "Item": key("p")}}


@pytest.mark.parametrize("dog", [{}, {"Create": INDEX}, INDEX, "x", [], 7])
def test_an_index_update_without_a_known_action_is_refused_whatever_else_it_holds(
    things: Conformance, dog: Any
) -> None:
    status, answer = things.raw(
        "UpdateTable", {"TableName": "things", "GlobalSecondaryIndexUpdates": [{"Dog": dog}]}
    )
    assert (status, answer["message"]) == (400, ONE_UPDATE)


def test_an_unknown_member_beside_a_known_one_changes_nothing(things: Conformance) -> None:
    change = {"MaxReadRequestUnits": 5, "Dog": "x"}
    for payload in (
        {"OnDemandThroughput": change, "Dog": {"a": 1}},
        {
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S", "Dog": 1}],
            "GlobalSecondaryIndexUpdates": [{"Create": {**INDEX, "Dog": []}, "Dog": {}}],
        },
    ):
        status, _ = things.raw("UpdateTable", {"TableName": "things", **payload})
        assert status == 200
    table = things.dynamodb.describe_table(TableName="things")["Table"]
    assert table["OnDemandThroughput"]["MaxReadRequestUnits"] == 5
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["byOther"]


@pytest.mark.parametrize(
    ("member", "wrong"),
    [
        ("OnDemandThroughput", []),
        ("OnDemandThroughput", "x"),
        ("OnDemandThroughput", {"MaxReadRequestUnits": []}),
        ("ProvisionedThroughput", [1]),
        ("GlobalSecondaryIndexUpdates", [[]]),
        ("GlobalSecondaryIndexUpdates", {"Dog": {}}),
        ("GlobalSecondaryIndexUpdates", [{"Create": []}]),
        ("StreamSpecification", [True]),
    ],
)
def test_a_wrong_type_is_a_serialization_exception(things: Conformance, member: str, wrong: Any) -> None:
    status, answer = things.raw("UpdateTable", {"TableName": "things", member: wrong})
    assert status == 400
    assert answer["__type"].endswith("#SerializationException")


def test_a_transaction_with_a_token_ignores_what_it_does_not_know_as_one_without(things: Conformance) -> None:
    for index, extra in enumerate(({}, {"Foo": "x"}, {"Foo": {"Bar": []}}, {"Foo": None})):
        token = {"ClientRequestToken": "once"} if index else {}
        assert things.raw("TransactWriteItems", {"TransactItems": [{**PUT, **extra}], **token})[0] == 200
    again = {"TransactItems": [{"Put": {**PUT["Put"], "Dog": 1}}], "ClientRequestToken": "once", "Dog": 1}
    assert things.raw("TransactWriteItems", again)[0] == 200  # the same request, as far as a client can tell


def test_a_number_beyond_every_range_is_narrowed_and_never_an_error_of_ours(things: Conformance) -> None:
    for number in (10**30, -(10**30), 2**63, -(2**63) - 1):
        status, _ = things.raw(
            "UpdateTable", {"TableName": "things", "OnDemandThroughput": {"MaxReadRequestUnits": number}}
        )
        assert status == (200 if number > 0 else 400)
