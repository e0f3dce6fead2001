"""Semantics §2.1 and §2.2, a row for a fact: each bound and one past it, through boto3's `lambda` client and
a real process.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.lambda_shop import Shop, opened, refused
from tests.patience import until

INVALID, VALIDATION = "InvalidParameterValueException", "ValidationException"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:late"
KEY = "arn:aws:kms:us-east-1:000000000000:key/12345678-1234-1234-1234-123456789012"
LONG_QUEUE = QUEUE.ljust(350, "x")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all rows; a mapping that a row makes is disabled and deleted again."""
    with opened(tmp_path_factory.mktemp("lambda")) as made:
        yield made


@pytest.fixture(scope="module")
def stream(shop: Shop) -> str:
    """The stream of the orders."""
    return shop.stream()


def made(shop: Shop, stream: str, **changes: Any) -> dict[str, Any]:
    """A mapping's configuration; it is deleted at once."""
    given = {
        "EventSourceArn": stream,
        "FunctionName": "tally",
        "StartingPosition": "TRIM_HORIZON",
        "Enabled": False,
        **changes,
    }
    mapping: dict[str, Any] = shop.client.create_event_source_mapping(**given)
    shop.client.delete_event_source_mapping(UUID=mapping["UUID"])
    until(lambda: shop.state(mapping["UUID"]), "gone")
    return mapping


def test_what_a_new_mapping_answers_is_what_awss_answers(shop: Shop, stream: str) -> None:
    mapping = made(shop, stream)
    status = mapping.pop("ResponseMetadata")["HTTPStatusCode"]
    uuid, modified = mapping.pop("UUID"), mapping.pop("LastModified")
    assert status == 202
    assert modified.year >= 2025
    assert mapping == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": stream,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}",
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:tally",
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BatchSize", 1), ("BatchSize", 10_000), ("BatchSize", 101), ("MaximumBatchingWindowInSeconds", 0),
        ("MaximumBatchingWindowInSeconds", 300), ("ParallelizationFactor", 1), ("ParallelizationFactor", 10),
        ("MaximumRecordAgeInSeconds", -1), ("MaximumRecordAgeInSeconds", 60),
        ("MaximumRecordAgeInSeconds", 604_800),
        ("MaximumRetryAttempts", -1), ("MaximumRetryAttempts", 0), ("MaximumRetryAttempts", 10_000),
        ("BisectBatchOnFunctionError", True), ("FunctionResponseTypes", ["ReportBatchItemFailures"]),
        ("FunctionResponseTypes", []),
        ("TumblingWindowInSeconds", 0), ("KMSKeyArn", KEY), ("MetricsConfig", {"Metrics": ["EventCount"]}),
        ("DestinationConfig", {"OnFailure": {"Destination": QUEUE}}),
        ("DestinationConfig", {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:000000000000:late"}}),
        ("DestinationConfig", {"OnFailure": {"Destination": "arn:aws:s3:::late"}}),
        ("DestinationConfig", {"OnFailure": {"Destination": LONG_QUEUE}}),
        ("FilterCriteria", {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}] * 5}),
        ("FilterCriteria", {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'.ljust(4_096)}]}),
        ("StartingPosition", "LATEST"),
    ],
)  # fmt: skip
def test_a_setting_is_taken_at_its_bound(shop: Shop, stream: str, name: str, value: Any) -> None:
    assert made(shop, stream, **{name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FilterCriteria", {}), ("FilterCriteria", {"Filters": []}), ("KMSKeyArn", ""),
        ("MetricsConfig", {"Metrics": []}),
    ],
)  # fmt: skip
def test_an_empty_setting_is_left_out(shop: Shop, stream: str, name: str, value: Any) -> None:
    assert name not in made(shop, stream, **{name: value})


def test_a_destination_of_success_is_ignored(shop: Shop, stream: str) -> None:
    config = {"OnSuccess": {"Destination": QUEUE}, "OnFailure": {"Destination": ""}}
    assert made(shop, stream, DestinationConfig=config)["DestinationConfig"] == {"OnFailure": {}}


def outside(value: object, path: str, bound: str) -> str:
    """AWS's words for a number out of its range."""
    return (
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member "
        f"must have value {bound}"
    )


FIRST = "1 validation error detected: Value "


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"BatchSize": 0}, VALIDATION, outside(0, "batchSize", "greater than or equal to 1")),
        ({"BatchSize": 10_001}, VALIDATION, outside(10_001, "batchSize", "less than or equal to 10000")),
        ({"BatchSize": True}, "SerializationException", "TRUE_VALUE cannot be converted to Integer"),
        ({"MaximumBatchingWindowInSeconds": -1}, VALIDATION,
         outside(-1, "maximumBatchingWindowInSeconds", "greater than or equal to 0")),
        ({"MaximumBatchingWindowInSeconds": 301}, VALIDATION,
         outside(301, "maximumBatchingWindowInSeconds", "less than or equal to 300")),
        ({"ParallelizationFactor": 0}, VALIDATION,
         outside(0, "parallelizationFactor", "greater than or equal to 1")),
        ({"ParallelizationFactor": 11}, VALIDATION,
         outside(11, "parallelizationFactor", "less than or equal to 10")),
        ({"MaximumRecordAgeInSeconds": -2}, VALIDATION,
         outside(-2, "maximumRecordAgeInSeconds", "greater than or equal to -1")),
        ({"MaximumRecordAgeInSeconds": 604_801}, VALIDATION,
         outside(604_801, "maximumRecordAgeInSeconds", "less than or equal to 604800")),
        ({"MaximumRecordAgeInSeconds": 0}, INVALID,
         "MaximumRecordAgeInSeconds: 0 is not allowed; it is -1, or a whole number from 60 to 604800"),
        ({"MaximumRecordAgeInSeconds": 59}, INVALID,
         "MaximumRecordAgeInSeconds: 59 is not allowed; it is -1, or a whole number from 60 to 604800"),
        ({"MaximumRetryAttempts": -2}, VALIDATION,
         outside(-2, "maximumRetryAttempts", "greater than or equal to -1")),
        ({"MaximumRetryAttempts": 10_001}, VALIDATION,
         outside(10_001, "maximumRetryAttempts", "less than or equal to 10000")),
        ({"TumblingWindowInSeconds": -1}, VALIDATION,
         outside(-1, "tumblingWindowInSeconds", "greater than or equal to 0")),
        ({"TumblingWindowInSeconds": 901}, VALIDATION,
         outside(901, "tumblingWindowInSeconds", "less than or equal to 900")),
        ({"TumblingWindowInSeconds": 900, "ParallelizationFactor": 2}, INVALID,
         "TumblingWindowInSeconds: 900 is not allowed with ParallelizationFactor 2; a tumbling "
         "window needs ParallelizationFactor 1"),
        ({"TumblingWindowInSeconds": 1, "FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, INVALID,
         "TumblingWindowInSeconds: 1 is not allowed with FilterCriteria; a tumbling "
         "window takes every record"),
        ({"BatchSize": 0, "ParallelizationFactor": 11}, VALIDATION,
         "2 validation errors detected: Value '0' at 'batchSize' failed to satisfy constraint: "
         "Member must have value greater than or equal to 1; Value '11' at 'parallelizationFactor' "
         "failed to satisfy constraint: Member must have value less than or equal to 10"),
        ({"FunctionResponseTypes": ["Other"]}, VALIDATION,
         f"{FIRST}'[Other]' at 'functionResponseTypes' failed to satisfy constraint: Member must "
         f"satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]"),
        ({"FunctionResponseTypes": ["ReportBatchItemFailures"] * 2}, VALIDATION,
         f"{FIRST}'[ReportBatchItemFailures, ReportBatchItemFailures]' at 'functionResponseTypes' "
         f"failed to satisfy constraint: Member must have length less than or equal to 1"),
        ({"DestinationConfig": {"OnFailure": {"Destination": LONG_QUEUE + "x"}}}, VALIDATION,
         f"{FIRST}'{LONG_QUEUE}x' at 'destinationConfig.onFailure.destination' failed to satisfy constraint: "
         "Member must have length less than or equal to 350"),
        ({"MetricsConfig": {"Metrics": ["Other"]}}, VALIDATION,
         f"{FIRST}'[Other]' at 'metricsConfig.metrics' failed to satisfy constraint: Member must "
         f"satisfy constraint: [Member must satisfy enum value set: [EventCount, ErrorCount, "
         f"KafkaMetrics]]"),
        ({"MetricsConfig": {"Metrics": ["ErrorCount"]}}, INVALID,
         "MetricsConfig: ErrorCount is not allowed; of a stream there is EventCount"),
        ({"KMSKeyArn": "key"}, VALIDATION,
         f"{FIRST}'key' at 'kMSKeyArn' failed to satisfy constraint: Member must satisfy regular "
         f"expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, INVALID, "Invalid filter pattern definition."),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"a": []}'}]}}, INVALID,
         "Invalid filter pattern definition."),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}] * 6}}, INVALID,
         "FilterCriteria: 6 filters are too many; at most 5 are allowed"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}".ljust(4_097)}]}}, VALIDATION,
         f"{FIRST}'{'{}'.ljust(4_097)}' at 'filterCriteria.filters.1.member.pattern' failed to "
         f"satisfy constraint: Member must have length less than or equal to 4096"),
        ({"Enabled": "yes"}, "SerializationException", "STRING_VALUE cannot be converted to Boolean"),
        ({"StartingPosition": None}, INVALID,
         f"{FIRST}null at 'startingPosition' failed to satisfy constraint: Member must not be null."),
        ({"StartingPosition": "MIDDLE"}, VALIDATION,
         f"{FIRST}'MIDDLE' at 'startingPosition' failed to satisfy constraint: Member must satisfy "
         f"enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"),
        ({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 0}, INVALID,
         "Unsupported starting position for arn type: {stream}"),
        ({"StartingPosition": "LATEST", "StartingPositionTimestamp": 0}, INVALID,
         "StartingPositionTimestamp is not allowed with StartingPosition LATEST, only with AT_TIMESTAMP."),
        ({"FunctionName": None}, VALIDATION,
         f"{FIRST}null at 'functionName' failed to satisfy constraint: Member must not be null"),
        ({"FunctionName": "nobody"}, INVALID, "Function does not exist"),
        ({"FunctionName": "tally:prod"}, INVALID, "Function does not exist"),
        ({"EventSourceArn": "arn:aws:s3:::bucket-of-things"}, INVALID, "Unrecognized event source."),
        ({"EventSourceArn": None}, INVALID, "Unrecognized event source."),
        ({"EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/orders"}, INVALID,
         "Unrecognized event source."),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, INVALID,
         "Unsupported ScalingConfig parameter for given event source mapping type."),
        ({"Queues": ["late"]}, INVALID, "Unsupported Queues parameter for given event source mapping type."),
        ({"Topics": ["late"]}, INVALID, "Unsupported Topics parameter for given event source mapping type."),
        ({"ProvisionedPollerConfig": {"MinimumPollers": 1}}, INVALID,
         "Unsupported ProvisionedPollerConfig parameter for given event source mapping type."),
        ({"Tags": {"aws:team": "a"}}, INVALID,
         "Tags: 'aws:team' is not allowed; AWS keeps keys that begin with aws: for itself"),
        ({"Tags": {str(number): "a" for number in range(51)}}, INVALID,
         "Tags: 51 tags are too many; at most 50 are allowed"),
    ],
)  # fmt: skip
def test_a_setting_is_refused_past_its_bound(
    shop: Shop, stream: str, changes: dict[str, Any], code: str, words: str
) -> None:
    given = {"EventSourceArn": stream, "FunctionName": "tally", "StartingPosition": "LATEST", **changes}
    refusal = refused(
        shop.client.create_event_source_mapping,
        **{name: value for name, value in given.items() if value is not None},
    )
    assert refusal == (code, words.replace("{stream}", stream), 400)
    assert shop.client.list_event_source_mappings()["EventSourceMappings"] == []


@pytest.mark.parametrize(
    "suffix",
    [
        "sqs:us-east-1:000000000000:late.fifo",
        "sns:us-east-1:000000000000:late.fifo",
        "lambda:us-east-1:000000000000:function:tally",
    ],
)
def test_a_destination_that_streams_cannot_have_is_refused(shop: Shop, stream: str, suffix: str) -> None:
    config = {"OnFailure": {"Destination": f"arn:aws:{suffix}"}}
    code, words, status = refused(
        shop.client.create_event_source_mapping,
        EventSourceArn=stream,
        FunctionName="tally",
        StartingPosition="LATEST",
        DestinationConfig=config,
    )
    assert (code, status) == (INVALID, 400)
    assert words.startswith(f"DestinationConfig: 'arn:aws:{suffix}' is not allowed;")


# ---- update, tags, list ------------------------------------------------------------------------------------


@pytest.fixture
def uuid(shop: Shop, stream: str) -> Iterator[str]:
    """A disabled mapping with everything set that an update can take away."""
    uuid = shop.client.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName="tally",
        StartingPosition="TRIM_HORIZON",
        Enabled=False,
        KMSKeyArn=KEY,
        MetricsConfig={"Metrics": ["EventCount"]},
        FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        BatchSize=7,
        Tags={"team": "orders"},
    )["UUID"]
    until(lambda: shop.state(uuid), "Disabled")
    yield uuid
    shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: shop.state(uuid), "gone")


def test_an_update_leaves_what_it_does_not_name(shop: Shop, uuid: str) -> None:
    mapping = shop.client.update_event_source_mapping(UUID=uuid, MaximumRetryAttempts=3)
    assert (mapping["State"], mapping["BatchSize"], mapping["MaximumRetryAttempts"]) == ("Updating", 7, 3)
    assert (mapping["KMSKeyArn"], mapping["MetricsConfig"]) == (KEY, {"Metrics": ["EventCount"]})
    assert mapping["FilterCriteria"] == {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("FilterCriteria", {}, None), ("FilterCriteria", {"Filters": []}, None), ("KMSKeyArn", "", None),
        ("MetricsConfig", {"Metrics": []}, None), ("FunctionResponseTypes", [], []),
        ("DestinationConfig", {"OnFailure": {}}, {"OnFailure": {}}), ("BatchSize", 10_000, 10_000),
        ("MaximumBatchingWindowInSeconds", 300, 300), ("ParallelizationFactor", 10, 10),
        ("MaximumRecordAgeInSeconds", 60, 60),
        ("BisectBatchOnFunctionError", True, True),
    ],
)  # fmt: skip
def test_an_update_changes_a_setting_and_takes_it_away(
    shop: Shop, uuid: str, name: str, given: Any, shown: Any
) -> None:
    shop.client.update_event_source_mapping(UUID=uuid, **{name: given})
    assert shop.client.get_event_source_mapping(UUID=uuid).get(name) == shown


def test_an_update_is_refused_past_a_bound_and_changes_nothing(shop: Shop, uuid: str) -> None:
    before = shop.client.get_event_source_mapping(UUID=uuid)
    for changes, code in (
        ({"BatchSize": 10_001}, VALIDATION),
        ({"BatchSize": 9, "FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, INVALID),
        ({"FunctionName": "nobody"}, INVALID), ({"FunctionName": "a b"}, VALIDATION),
    ):  # fmt: skip
        assert refused(shop.client.update_event_source_mapping, UUID=uuid, **changes)[0] == code
    after = shop.client.get_event_source_mapping(UUID=uuid)
    assert {**after, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}


def test_an_update_gives_a_mapping_another_function_unless_that_has_one(
    shop: Shop, stream: str, uuid: str
) -> None:
    other = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="echo", StartingPosition="LATEST", Enabled=False
    )["UUID"]
    code, words, status = refused(shop.client.update_event_source_mapping, UUID=uuid, FunctionName="echo")
    assert (code, status) == ("ResourceConflictException", 409)
    assert words.endswith(f"Please update or delete the existing mapping with UUID {other}")
    shop.client.delete_event_source_mapping(UUID=other)
    until(lambda: shop.state(other), "gone")
    mapping = shop.client.update_event_source_mapping(UUID=uuid, FunctionName="echo")
    assert mapping["FunctionArn"].endswith(":function:echo")
    assert shop.client.list_event_source_mappings(FunctionName="tally")["EventSourceMappings"] == []


def test_tags_are_kept_added_and_removed(shop: Shop, uuid: str) -> None:
    arn = shop.client.get_event_source_mapping(UUID=uuid)["EventSourceMappingArn"]
    shop.client.tag_resource(Resource=arn, Tags={"team": "billing", "stage": "test", "k" * 128: "v" * 256})
    assert shop.client.list_tags(Resource=arn)["Tags"] == {
        "team": "billing",
        "stage": "test",
        "k" * 128: "v" * 256,
    }
    for tags in (
        {"k" * 129: ""},
        {"k": "v" * 257},
        {"": "v"},
        {"AWS:k": "v"},
        {str(number): "" for number in range(48)},
    ):
        assert refused(shop.client.tag_resource, Resource=arn, Tags=tags)[0] == INVALID
    shop.client.untag_resource(Resource=arn, TagKeys=["stage", "k" * 128, "nothing"])
    assert shop.client.list_tags(Resource=arn)["Tags"] == {"team": "billing"}
    gone = arn[:-12] + "0" * 12
    assert refused(shop.client.list_tags, Resource=gone) == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
        404,
    )
    assert refused(shop.client.list_tags, Resource="arn:aws:s3:::late")[0] == VALIDATION


def test_a_list_is_paged_and_chosen_by_stream_and_function(shop: Shop, stream: str, uuid: str) -> None:
    other = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="echo", StartingPosition="LATEST", Enabled=False
    )["UUID"]
    look = shop.client.list_event_source_mappings
    first = look(MaxItems=1)
    second = look(MaxItems=1, Marker=first["NextMarker"])
    uuids = [mapping["UUID"] for mapping in (*first["EventSourceMappings"], *second["EventSourceMappings"])]
    assert sorted(uuids) == sorted((uuid, other))
    assert "NextMarker" not in second
    for name in ("echo", "000000000000:function:echo", "arn:aws:lambda:us-east-1:000000000000:function:echo"):
        assert [mapping["UUID"] for mapping in look(FunctionName=name)["EventSourceMappings"]] == [other]
    assert len(look(EventSourceArn=stream, MaxItems=10_000)["EventSourceMappings"]) == 2
    assert look(EventSourceArn=stream + "x")["EventSourceMappings"] == []
    assert refused(look, MaxItems=0)[:2] == (VALIDATION, outside(0, "maxItems", "greater than or equal to 1"))
    assert refused(look, MaxItems=10_001)[:2] == (
        VALIDATION,
        outside(10_001, "maxItems", "less than or equal to 10000"),
    )
    shop.client.delete_event_source_mapping(UUID=other)
    until(lambda: shop.state(other), "gone")


def test_the_last_processing_result_follows_the_function(shop: Shop, stream: str) -> None:
    failing = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="fail", StartingPosition="LATEST", MaximumRetryAttempts=0
    )["UUID"]
    working = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="echo", StartingPosition="LATEST"
    )["UUID"]

    def results() -> list[str]:
        return [
            shop.client.get_event_source_mapping(UUID=mapping)["LastProcessingResult"]
            for mapping in (failing, working)
        ]

    assert results() == ["No records processed"] * 2
    shop.put("one")
    until(results, ["PROBLEM: Function call failed", "OK"])
    for mapping in (failing, working):
        shop.client.delete_event_source_mapping(UUID=mapping)
        until(lambda mapping=mapping: shop.state(mapping), "gone")
