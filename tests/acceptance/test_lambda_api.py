"""Lambda's API of `tailrace serve --function`, through boto3's `lambda` client and a real process."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from tests.acceptance.lambda_shop import NAMES, ORDERS, Shop, opened, refused
from tests.patience import until


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests: each undoes what it made."""
    with opened(tmp_path_factory.mktemp("lambda")) as made:
        yield made


@pytest.fixture(scope="module")
def stream(shop: Shop) -> str:
    """The stream of the orders, with one record that was there before."""
    arn = shop.stream()
    shop.put("before")
    return arn


def test_a_mapping_lives_through_create_disable_restart_enable_and_delete(shop: Shop, stream: str) -> None:
    made = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="tally", StartingPosition="TRIM_HORIZON", BatchSize=10
    )
    uuid = made["UUID"]
    assert (made["ResponseMetadata"]["HTTPStatusCode"], made["State"]) == (202, "Creating")
    assert made["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:tally"
    assert (made["BatchSize"], made["MaximumRetryAttempts"], made["DestinationConfig"]) == (
        10,
        -1,
        {"OnFailure": {}},
    )
    assert "FilterCriteria" not in made
    until(lambda: shop.state(uuid), "Enabled")
    shop.put("one")
    until(shop.lines, ["before", "one"])
    arn = f'(" {stream} ") and function (" tally ")'
    assert refused(
        shop.client.create_event_source_mapping,
        EventSourceArn=stream,
        FunctionName=made["FunctionArn"],
        StartingPosition="LATEST",
    ) == (
        "ResourceConflictException",
        f"The event source arn {arn} provided mapping already exists. Please update or delete the "
        f"existing mapping with UUID {uuid}",
        409,
    )
    changed = shop.client.update_event_source_mapping(UUID=uuid, Enabled=False, BatchSize=7)
    assert (changed["State"], changed["BatchSize"]) == ("Disabling", 7)
    until(lambda: shop.state(uuid), "Disabled")
    shop.put("two")
    assert shop.node.stop() == 0
    shop.start()
    assert shop.state(uuid) == "Disabled"
    assert shop.client.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    until(shop.lines, ["before", "one", "two"])
    (listed,) = shop.client.list_event_source_mappings(FunctionName="tally")["EventSourceMappings"]
    assert (listed["UUID"], listed["BatchSize"]) == (uuid, 7)
    assert shop.client.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    until(lambda: shop.state(uuid), "gone")
    shop.put("three")
    assert shop.client.list_event_source_mappings()["EventSourceMappings"] == []
    assert shop.lines() == ["before", "one", "two"]


def test_latest_begins_behind_what_was_written(shop: Shop, stream: str) -> None:
    shop.put("old")
    before = shop.lines()
    uuid = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="tally", StartingPosition="LATEST"
    )["UUID"]
    shop.put("new")
    until(shop.lines, [*before, "new"])
    shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: shop.state(uuid), "gone")


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_a_mapping_reads_nothing_of_the_streams_before_its_own(shop: Shop, position: str) -> None:
    name = f"again-{position.replace('_', '-')}"
    shop.tables.create_table(**{**ORDERS, "TableName": name})
    shop.tables.put_item(TableName=name, Item={"id": {"S": f"{name}-before"}})
    for specification in ({"StreamEnabled": False}, ORDERS["StreamSpecification"]):
        shop.tables.update_table(TableName=name, StreamSpecification=specification)
    arn = shop.tables.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    lines = shop.lines()
    shop.tables.put_item(TableName=name, Item={"id": {"S": f"{name}-old"}})
    uuid = shop.client.create_event_source_mapping(
        EventSourceArn=arn, FunctionName="tally", StartingPosition=position
    )["UUID"]
    shop.tables.put_item(TableName=name, Item={"id": {"S": f"{name}-new"}})
    old = [f"{name}-old"] if position == "TRIM_HORIZON" else []
    until(shop.lines, [*lines, *old, f"{name}-new"])
    shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: shop.state(uuid), "gone")


def test_a_change_of_one_mapping_does_not_touch_the_others(shop: Shop, stream: str) -> None:
    def made(function: str) -> str:
        given = {"EventSourceArn": stream, "FunctionName": function, "StartingPosition": "LATEST"}
        return str(shop.client.create_event_source_mapping(**given)["UUID"])

    def lingered() -> list[str]:
        file = shop.output.with_name("lingered")
        return file.read_text().split() if file.exists() else []

    shop.client.update_function_configuration(FunctionName="linger", Timeout=60)
    lingering, quick = made("linger"), made("tally")
    until(lambda: (shop.state(lingering), shop.state(quick)), ("Enabled", "Enabled"))
    before = shop.lines()
    shop.put("first")
    until(lambda: (shop.lines(), len(lingered())), ([*before, "first"], 1))
    shop.client.update_event_source_mapping(UUID=quick, BatchSize=3)  # while the other's function runs
    until(lambda: shop.state(quick), "Enabled")
    other = made("echo")
    until(lambda: shop.state(other), "Enabled")
    shop.put("second")
    until(shop.lines, [*before, "first", "second"])
    assert len(lingered()) == 1  # no client waited for that function
    shop.output.with_name("go").touch()
    until(lambda: len(lingered()), 2)
    assert len(set(lingered())) == 1  # and its process was not ended
    for uuid in (lingering, quick, other):
        shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: [shop.state(uuid) for uuid in (lingering, quick, other)], ["gone"] * 3)


NO_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/nothing/stream/2026-01-01T00:00:00.000"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "InvalidParameterValueException",
         "Invalid filter pattern definition."),
        ({"EventSourceArn": NO_ARN}, "InvalidParameterValueException", f"Stream not found: {NO_ARN}"),
        ({"EventSourceArn": "arn:aws:s3:::bucket-of-things"}, "InvalidParameterValueException",
         "Unrecognized event source."),
        ({"FunctionName": "nothing"}, "InvalidParameterValueException", "Function does not exist"),
        ({"StartingPosition": "MIDDLE"}, "ValidationException",
         "1 validation error detected: Value 'MIDDLE' at 'startingPosition' failed to satisfy constraint: "
         "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"),
        ({"StartingPosition": None}, "InvalidParameterValueException",
         "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
         "constraint: Member must not be null."),
        ({"BatchSize": 10_001}, "ValidationException",
         "1 validation error detected: Value '10001' at 'batchSize' failed to satisfy constraint: "
         "Member must have value less than or equal to 10000"),
    ],
)  # fmt: skip
def test_a_mapping_is_refused_in_awss_words(
    shop: Shop, stream: str, changes: dict[str, Any], code: str, words: str
) -> None:
    given = {"EventSourceArn": stream, "FunctionName": "tally", "StartingPosition": "LATEST", **changes}
    refusal = refused(
        shop.client.create_event_source_mapping,
        **{name: value for name, value in given.items() if value is not None},
    )
    assert refusal == (code, words, 400)


def test_unknown_mappings_and_functions_are_not_found(shop: Shop) -> None:
    uuid = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    gone = ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    assert refused(shop.client.get_event_source_mapping, UUID=uuid) == gone
    assert refused(shop.client.update_event_source_mapping, UUID=uuid) == gone
    assert refused(shop.client.delete_event_source_mapping, UUID=uuid) == gone
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nothing"
    assert refused(shop.client.get_function, FunctionName="nothing") == (
        "ResourceNotFoundException",
        f"Function not found: {arn}",
        404,
    )


def test_functions_are_described_and_invoked(shop: Shop) -> None:
    names = [function["FunctionName"] for function in shop.client.list_functions()["Functions"]]
    assert names == sorted(NAMES)
    assert shop.client.get_function(FunctionName="echo")["Configuration"]["Handler"] == "functions.echo"
    answer = shop.client.invoke(FunctionName="echo", Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == {"event": {"a": 1}, "name": "echo"}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    failed = shop.client.invoke(FunctionName="fail", Payload=b"{}")
    said = json.loads(failed["Payload"].read())
    assert (failed["FunctionError"], said["errorType"], said["errorMessage"]) == (
        "Unhandled",
        "LookupError",
        "no such country",
    )
    with urlopen(f"http://127.0.0.1:{shop.node.port}/metrics") as scraped:
        metrics = scraped.read().decode()
    assert 'tailrace_invocations_total{handler="fail"} 1.0' in metrics
    assert 'tailrace_errors_total{handler="fail"} 1.0' in metrics
    assert 'tailrace_errors_total{handler="echo"} 0.0' in metrics
    assert shop.client.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204
    assert shop.client.invoke(FunctionName="echo", InvocationType="Event")["StatusCode"] == 202
    assert (
        refused(shop.client.invoke, FunctionName="echo", Payload=b"{")[0] == "InvalidRequestContentException"
    )
