"""What the proxy does to calls: each fault over a real connection, at the call that was named, and the same
every time.

Rules of this file: the client is the package's own, which tries nothing again, before the package's own
server.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.aws import client
from tailrace.aws.errors import AwsError, Meaning
from tailrace.aws.places import KNOWN, Access
from tailrace.errors import SettingsError
from tailrace.testing.proxy import (
    Again,
    Alter,
    CutOff,
    Late,
    Never,
    Proxy,
    Refuse,
    Twice,
    chosen_faults,
    denied,
    expired,
    failing,
    listing,
    throttled,
    trimmed,
)
from tests.far_streams import FarTable, far
from tests.serving import Served

LITTLE_S = 1.0
"""How long is waited for what never comes; whatever else happens takes as long as it takes."""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Served, Access]]:
    with far() as place:
        yield place


@pytest.fixture
def proxy(place: tuple[Served, Access]) -> Iterator[Proxy]:
    with Proxy(str(place[1].endpoint_url)) as proxy:
        yield proxy


def ask(proxy: Proxy, operation: str, timeout_s: float | None = None, **members: Any) -> dict[str, Any]:
    service = (
        "dynamodb"
        if operation in ("put_item", "get_item", "update_item", "list_tables")
        else "dynamodbstreams"
    )

    async def asking() -> dict[str, Any]:
        own = client.AwsClient()
        try:
            return await own.call(
                Access("us-east-1", proxy.url), service, operation, members, timeout_s=timeout_s
            )
        finally:
            await own.close()

    return asyncio.run(asking())


def refusal(proxy: Proxy, operation: str, **members: Any) -> AwsError:
    with pytest.raises(AwsError) as refused:
        ask(proxy, operation, **members)
    return refused.value


def counted(proxy: Proxy, name: str) -> int:
    """Add one to an item's count. Returns: the count."""
    answer = ask(
        proxy, "update_item", TableName=name, Key={"pk": {"S": "a"}}, UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="ALL_NEW",
    )  # fmt: skip
    return int(answer["Attributes"]["n"]["N"])


def test_without_rules_everything_passes_as_it_is(place: tuple[Served, Access], proxy: Proxy) -> None:
    table = FarTable(place[0])
    assert counted(proxy, table.name) == 1
    assert ask(proxy, "list_streams", TableName=table.name)["Streams"][0]["StreamArn"] == table.arn
    assert [(call.operation, call.number, call.status, call.fault) for call in proxy.calls] == [
        ("UpdateItem", 1, 200, None), ("ListStreams", 1, 200, None),
    ]  # fmt: skip
    assert refusal(proxy, "list_streams", TableName="!").code == "ValidationException"


def test_a_fault_befalls_the_calls_that_are_named_and_no_other(proxy: Proxy) -> None:
    proxy.on("ListStreams", throttled("ListStreams"), calls=[2, 4])
    codes = []
    for _ in range(5):
        try:
            ask(proxy, "list_streams")
            codes.append("")
        except AwsError as error:
            codes.append(error.code)
    assert codes == ["", "ThrottlingException", "", "ThrottlingException", ""]
    assert ask(proxy, "list_tables")["TableNames"] is not None
    assert proxy.count("ListStreams") == 5


def test_calls_are_counted_among_those_that_the_rule_is_about(proxy: Proxy) -> None:
    proxy.on("ListStreams", failing(), calls=[2], where={"TableName": "abc"})
    ask(proxy, "list_streams", TableName="abd")
    ask(proxy, "list_streams", TableName="abc")
    ask(proxy, "list_streams", TableName="abd")
    assert refusal(proxy, "list_streams", TableName="abc").verdict.meaning is Meaning.UNAVAILABLE
    ask(proxy, "list_streams", TableName="abc")
    proxy.on("*", denied())
    assert refusal(proxy, "list_tables").verdict.meaning is Meaning.DENIED
    proxy.clear()
    ask(proxy, "list_tables")


@pytest.mark.parametrize(
    ("fault", "code", "meaning"),
    [
        (throttled(), "LimitExceededException", Meaning.THROTTLED),
        (throttled("DescribeStream"), "ThrottlingException", Meaning.THROTTLED),
        (expired(), "ExpiredIteratorException", Meaning.UNKNOWN),
        (trimmed(), "TrimmedDataAccessException", Meaning.UNKNOWN),
        (denied(), "AccessDeniedException", Meaning.DENIED),
        (failing(), "InternalServerError", Meaning.UNAVAILABLE),
    ],
)
def test_a_refusal_has_awss_form_and_the_server_sees_nothing(
    place: tuple[Served, Access], proxy: Proxy, fault: Refuse, code: str, meaning: Meaning
) -> None:
    table = FarTable(place[0])
    proxy.on("UpdateItem", fault, calls=[1])
    error = refusal(
        proxy, "update_item", TableName=table.name, Key={"pk": {"S": "a"}}, UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )  # fmt: skip
    assert (error.code, error.verdict.meaning, error.words) == (code, meaning, fault.message)
    assert counted(proxy, table.name) == 1


def test_a_refusal_may_say_when_to_come_again(proxy: Proxy) -> None:
    proxy.on("ListStreams", Refuse("ThrottlingException", "Rate exceeded", retry_after_s=7))
    assert refusal(proxy, "list_streams").retry_after_ms == 7_000


@pytest.mark.parametrize(("fault", "count"), [(CutOff(), 1), (CutOff(0), 2), (CutOff(40), 2)])
def test_a_connection_is_cut_before_or_after_the_server_has_seen_the_call(
    place: tuple[Served, Access], proxy: Proxy, fault: CutOff, count: int
) -> None:
    table = FarTable(place[0])
    proxy.on("UpdateItem", fault, calls=[1])
    with pytest.raises(AwsError) as cut:
        counted(proxy, table.name)
    assert (cut.value.verdict.meaning, cut.value.status) == (Meaning.UNAVAILABLE, 0)
    assert counted(proxy, table.name) == count


@pytest.mark.parametrize(("fault", "count"), [(Never(), 2), (Never(seen=False), 1)])
def test_an_answer_never_comes(place: tuple[Served, Access], proxy: Proxy, fault: Never, count: int) -> None:
    table = FarTable(place[0])
    counted(proxy, table.name)
    proxy.on("UpdateItem", fault, calls=[1])
    with pytest.raises(AwsError, match="did not answer in time"):
        ask(
            proxy,
            "update_item",
            LITTLE_S,
            TableName=table.name,
            Key={"pk": {"S": "a"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
    while counted(proxy, table.name) < count + 1 and proxy.count("UpdateItem") < 100:
        pass  # the server has seen it, or will
    assert proxy.calls[1].status == 0


def test_an_answer_is_late(proxy: Proxy) -> None:
    proxy.on("ListStreams", Late(20), calls=[1]).on("ListStreams", Late(20, before=True), calls=[1])
    ask(proxy, "list_streams")
    ask(proxy, "list_streams")
    assert [call.fault for call in proxy.calls] == [Late(20), Late(20, before=True)]


def test_a_call_comes_twice(place: tuple[Served, Access], proxy: Proxy) -> None:
    table = FarTable(place[0])
    proxy.on("UpdateItem", Twice(), calls=[1])
    assert [counted(proxy, table.name) for _ in range(2)] == [2, 3]


def test_an_answer_comes_once_more(place: tuple[Served, Access], proxy: Proxy) -> None:
    one, other = FarTable(place[0]), FarTable(place[0])
    proxy.on("UpdateItem", Again(), calls=[1, 3], where={"TableName": one.name})
    assert [counted(proxy, table.name) for table in (one, other, one, one, one)] == [1, 1, 2, 2, 3]


def test_a_listing_contradicts_itself(place: tuple[Served, Access], proxy: Proxy) -> None:
    table = FarTable(place[0])
    table.roll()
    parent, child = ask(proxy, "describe_stream", StreamArn=table.arn)["StreamDescription"]["Shards"]
    proxy.on("DescribeStream", listing(without=[parent["ShardId"]]), calls=[1])
    proxy.on("DescribeStream", listing(opened=[parent["ShardId"]], last=child["ShardId"]), calls=[1])
    first = ask(proxy, "describe_stream", StreamArn=table.arn)["StreamDescription"]
    assert first["Shards"] == [child]
    second = ask(proxy, "describe_stream", StreamArn=table.arn)["StreamDescription"]
    assert "EndingSequenceNumber" not in second["Shards"][0]["SequenceNumberRange"]
    assert second["LastEvaluatedShardId"] == child["ShardId"]
    assert ask(proxy, "describe_stream", StreamArn=table.arn)["StreamDescription"]["Shards"] == [
        parent,
        child,
    ]


def test_an_answer_is_altered_unless_it_is_a_refusal(proxy: Proxy) -> None:
    proxy.on("ListStreams", Alter(lambda members: members | {"Streams": ["x"]}))
    assert ask(proxy, "list_streams")["Streams"] == ["x"]
    assert refusal(proxy, "list_streams", TableName="!").code == "ValidationException"


def test_chosen_faults_are_the_same_for_a_seed_and_others_for_another() -> None:
    faults = [CutOff(), Never(), Twice()]
    chosen = chosen_faults("seed", faults, 200, 1_000)
    assert chosen == chosen_faults("seed", faults, 200, 1_000)
    assert chosen != chosen_faults("other", faults, 200, 1_000)
    assert 150 < len(chosen) < 250
    assert set(chosen.values()) == set(faults)
    assert chosen_faults("seed", faults, 0, 100) == {}
    assert len(chosen_faults("seed", faults, 1_000, 100)) == 100


def test_a_server_that_is_away_is_a_cut_connection() -> None:
    with Proxy("http://127.0.0.1:9") as proxy, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "any")
        KNOWN.forget(None)
        assert refusal(proxy, "list_streams").verdict.meaning is Meaning.UNAVAILABLE
    proxy.close()


def test_only_plain_servers_can_be_stood_before() -> None:
    with pytest.raises(SettingsError, match="https"):
        Proxy("https://streams.example")
