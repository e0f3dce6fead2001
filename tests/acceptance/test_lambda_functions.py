"""Functions of Lambda's API: created, configured, invoked with their log, deleted; through boto3's `lambda`
client and a real process.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.lambda_shop import Shop, opened, refused
from tests.patience import until

INVALID, VALIDATION = "InvalidParameterValueException", "ValidationException"
ROLE = "arn:aws:iam::000000000000:role/lambda"
ZIP = b"no zip at all"
GIVEN: dict[str, Any] = {
    "FunctionName": "talk",
    "Role": ROLE,
    "Runtime": "python3.12",
    "Handler": "functions.talk",
    "Code": {"ZipFile": ZIP},
}
MISSING = "failed to satisfy constraint: Member must not be null"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests."""
    with opened(tmp_path_factory.mktemp("lambda")) as made:
        yield made


@pytest.fixture
def talk(shop: Shop) -> Iterator[dict[str, Any]]:
    """The function "talk", created, and as it was before at the end."""
    function: dict[str, Any] = shop.client.create_function(
        **GIVEN,
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"PLACE": "here"}},
        Description="talks",
        Tags={"team": "a"},
    )
    yield function
    if "talk" in [function["FunctionName"] for function in shop.client.list_functions()["Functions"]]:
        shop.client.delete_function(FunctionName="talk")


@pytest.fixture
def plain(shop: Shop) -> Iterator[None]:
    """The function "talk", created with Lambda's defaults."""
    shop.client.create_function(**GIVEN)
    yield
    shop.client.delete_function(FunctionName="talk")


def answer(told: dict[str, Any]) -> Any:
    """What a function answered."""
    return json.loads(told["Payload"].read())


def log(told: dict[str, Any]) -> str:
    """The log that came with an answer."""
    return base64.b64decode(told["LogResult"]).decode()


def test_a_function_is_created_described_and_runs_with_its_configuration(
    shop: Shop, talk: dict[str, Any]
) -> None:
    assert talk["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "FunctionName": "talk", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:talk",
        "Runtime": "python3.12",
        "Role": ROLE, "Handler": "functions.talk", "Timeout": 7, "MemorySize": 256, "Description": "talks",
        "Version": "$LATEST",
        "CodeSize": len(ZIP), "CodeSha256": base64.b64encode(hashlib.sha256(ZIP).digest()).decode(),
        "PackageType": "Zip",
        "Environment": {"Variables": {"PLACE": "here"}}, "State": "Active", "LastUpdateStatus": "Successful",
        "Architectures": ["x86_64"], "TracingConfig": {"Mode": "PassThrough"},
        "EphemeralStorage": {"Size": 512},
    }  # fmt: skip
    assert {name: talk[name] for name in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", talk["LastModified"])
    described = shop.client.get_function(FunctionName="talk")
    assert described["Tags"] == {"team": "a"}
    assert {name: described["Configuration"][name] for name in expected} == expected
    assert shop.client.get_function_configuration(FunctionName="talk")["RevisionId"] == talk["RevisionId"]
    assert answer(shop.client.invoke(FunctionName="talk")) == {"region": "here", "timeout": 6, "custom": None}


def test_a_function_that_was_created_is_a_conflict_and_a_restart_keeps_it(
    shop: Shop, talk: dict[str, Any]
) -> None:
    conflict = ("ResourceConflictException", "Function already exist: talk", 409)
    assert refused(shop.client.create_function, **GIVEN) == conflict
    shop.node.stop()
    shop.start()
    assert refused(shop.client.create_function, **GIVEN) == conflict
    assert shop.client.get_function_configuration(FunctionName="talk")["Timeout"] == 7


def test_a_function_that_the_command_line_does_not_name_is_refused_with_the_option_that_makes_it(
    shop: Shop,
) -> None:
    code, words, status = refused(shop.client.create_function, **{**GIVEN, "FunctionName": "unheard"})
    assert (code, status) == (INVALID, 400)
    assert "start the server with --function unheard=module:attribute" in words
    assert "It was started with: echo, fail, linger, sleep, talk, tally." in words


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"FunctionName": None}, VALIDATION,
         f"1 validation error detected: Value null at 'functionName' {MISSING}"),
        ({"FunctionName": "a b"}, VALIDATION,
         "1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint"),
        ({"FunctionName": "a" * 141}, VALIDATION,
         f"1 validation error detected: Value '{'a' * 141}' at 'functionName'"),
        ({"Role": None}, VALIDATION, f"1 validation error detected: Value null at 'role' {MISSING}"),
        ({"Role": None, "Code": None}, VALIDATION,
         f"2 validation errors detected: Value null at 'role' {MISSING}; Value null at 'code' {MISSING}"),
        ({"Role": "lambda"}, VALIDATION, "1 validation error detected: Value 'lambda' at 'role' failed to "
         "satisfy constraint: Member must satisfy"),
        ({"Runtime": None}, INVALID,
         "Runtime and Handler are mandatory parameters for functions created with deployment packages."),
        ({"Handler": None}, INVALID,
         "Runtime and Handler are mandatory parameters for functions created with deployment packages."),
        ({"Timeout": 0}, VALIDATION, "1 validation error detected: Value '0' at 'timeout' failed to "
         "satisfy constraint: Member must have value greater than or equal to 1"),
        ({"Timeout": 901}, VALIDATION, "1 validation error detected: Value '901' at 'timeout' failed to "
         "satisfy constraint: Member must have value less than or equal to 900"),
        ({"MemorySize": 127}, VALIDATION, "1 validation error detected: Value '127' at 'memorySize'"),
        ({"MemorySize": 10_241}, VALIDATION, "1 validation error detected: Value '10241' at 'memorySize'"),
        ({"Description": "d" * 257}, VALIDATION, "1 validation error detected: Value"),
        ({"PackageType": "Image"}, VALIDATION, "1 validation error detected: Value 'Image' at 'packageType'"),
        ({"Layers": ["arn"]}, INVALID, "Tailrace does not emulate Layers of functions."),
        ({"Publish": True}, INVALID, "Tailrace does not emulate Publish of functions."),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, INVALID,
         "Lambda was unable to configure your environment variables because the environment "
         "variables you have provided contains reserved keys that are currently not supported for "
         "modification. Reserved keys used in this request: AWS_REGION"),
        ({"Environment": {"Variables": {"LONG": "x" * 4_087}}}, INVALID,
         "Lambda was unable to configure your environment variables because the environment "
         "variables you have provided exceeded the 4KB limit. String measured: {\"LONG\":"),
    ],
)  # fmt: skip
def test_a_configuration_is_refused_past_its_bounds(
    shop: Shop, changes: dict[str, Any], code: str, words: str
) -> None:
    given = {name: value for name, value in {**GIVEN, **changes}.items() if value is not None}
    refusal = refused(shop.client.create_function, **given)
    assert (refusal[0], refusal[2]) == (code, 400)
    assert refusal[1].startswith(words)


@pytest.mark.parametrize(
    "settings",
    [{"Timeout": 1}, {"Timeout": 900}, {"MemorySize": 128}, {"MemorySize": 10_240},
     {"Description": "d" * 256},
     {"Environment": {"Variables": {"LONG": "x" * 4_085}}}, {"Publish": False}, {"VpcConfig": {}}],
)  # fmt: skip
def test_a_configuration_is_taken_at_its_bounds(shop: Shop, settings: dict[str, Any]) -> None:
    assert shop.client.create_function(**GIVEN, **settings)["State"] == "Active"
    shop.client.delete_function(FunctionName="talk")


def test_an_update_changes_what_it_names_and_the_next_invocation_has_it(
    shop: Shop, talk: dict[str, Any]
) -> None:
    shop.client.invoke(FunctionName="talk")  # a process with the old environment idles
    changed = shop.client.update_function_configuration(
        FunctionName="talk",
        Timeout=9,
        Environment={"Variables": {"PLACE": "there"}},
        RevisionId=talk["RevisionId"],
    )
    assert (changed["Timeout"], changed["MemorySize"], changed["Description"]) == (9, 256, "talks")
    assert changed["RevisionId"] != talk["RevisionId"]
    assert answer(shop.client.invoke(FunctionName="talk"))["region"] == "there"
    code, words, status = refused(
        shop.client.update_function_configuration,
        FunctionName="talk",
        Timeout=8,
        RevisionId=talk["RevisionId"],
    )
    assert (code, status) == ("PreconditionFailedException", 412)
    assert words.startswith("The Revision Id provided does not match the latest Revision Id.")
    shop.client.update_function_configuration(FunctionName="talk", Environment={"Variables": {}})
    assert "Environment" not in shop.client.get_function_configuration(FunctionName="talk")


def test_a_function_that_is_deleted_is_gone_until_it_is_created_again_and_its_mapping_waits(
    shop: Shop,
) -> None:
    stream = shop.stream()
    uuid = shop.client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="tally", StartingPosition="TRIM_HORIZON"
    )["UUID"]
    shop.put("one")
    until(shop.lines, ["one"])
    assert shop.client.delete_function(FunctionName="tally")["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = (
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:tally",
        404,
    )
    for call in (shop.client.get_function, shop.client.delete_function, shop.client.invoke):
        assert refused(call, FunctionName="tally") == gone
    shop.put("two")
    shop.node.stop()
    shop.start()
    assert refused(shop.client.get_function, FunctionName="tally") == gone
    assert shop.client.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"
    assert shop.lines() == ["one"]
    shop.client.create_function(**{**GIVEN, "FunctionName": "tally"})
    until(shop.lines, ["one", "two"])
    shop.client.delete_event_source_mapping(UUID=uuid)
    until(lambda: shop.state(uuid), "gone")


def test_tags_of_a_function_are_kept_added_and_removed(shop: Shop, talk: dict[str, Any]) -> None:
    arn = talk["FunctionArn"]
    shop.client.tag_resource(Resource=arn, Tags={"stage": "test"})
    shop.client.untag_resource(Resource=arn, TagKeys=["team"])
    assert shop.client.list_tags(Resource=arn)["Tags"] == {"stage": "test"}
    assert refused(shop.client.list_tags, Resource=f"{arn}:1")[0] == INVALID
    assert (
        refused(shop.client.list_tags, Resource=arn.replace("talk", "unheard"))[0]
        == "ResourceNotFoundException"
    )


# ---- invoke ------------------------------------------------------------------------------------------------


def test_the_log_of_an_invocation_is_what_lambda_writes(shop: Shop, plain: None) -> None:
    told = shop.client.invoke(FunctionName="talk", LogType="Tail")
    start, one, two, empty, end, report, *rest = log(told).split("\n")
    assert re.fullmatch(r"START RequestId: ([0-9a-f-]{36}) Version: \$LATEST", start)
    assert sorted((one, two)) == ["hello from a child", "hello from talk"]
    assert (empty, rest) == ("", [""])
    request = start.split()[2]
    assert end == f"END RequestId: {request}"
    shape = (
        r"REPORT RequestId: (\S+)\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 "
        r"MB\tMax Memory Used: \d+ MB"
    )
    assert re.fullmatch(shape, report)
    assert "LogResult" not in shop.client.invoke(FunctionName="talk")
    assert "LogResult" not in shop.client.invoke(FunctionName="talk", LogType="None")


def test_only_the_last_four_kilobytes_of_a_log_are_answered(shop: Shop, plain: None) -> None:
    told = shop.client.invoke(FunctionName="talk", LogType="Tail", Payload=b'{"more": 10000}')
    tail = log(told)
    assert len(tail) == 4_096
    assert tail.startswith("x")
    assert tail.endswith(" MB\n")


def test_the_log_of_a_failure_has_the_error_and_its_lines(shop: Shop) -> None:
    told = shop.client.invoke(FunctionName="fail", LogType="Tail")
    assert told["FunctionError"] == "Unhandled"
    tail = log(told)
    assert "\nlooking\n[ERROR] LookupError: no such country\nTraceback (most recent call last):\n" in tail
    assert 'raise LookupError("no such country")' in tail


def test_the_log_of_a_time_out_has_what_was_printed_before_it(shop: Shop) -> None:
    shop.client.create_function(**{**GIVEN, "FunctionName": "sleep", "Timeout": 1})
    shop.client.invoke(
        FunctionName="sleep"
    )  # a process that has started is killed at its time-out, not ten seconds later
    told = shop.client.invoke(FunctionName="sleep", LogType="Tail", Payload=b'{"seconds": 60}')
    assert told["FunctionError"] == "Unhandled"
    said = answer(told)
    assert said["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(r"RequestId: \S+ Error: Task timed out after 1\.00 seconds", said["errorMessage"])
    assert "\nsleeping\nRequestId: " in log(told)
    assert "Max Memory Used" not in log(told)
    shop.client.delete_function(FunctionName="sleep")


def test_a_client_context_reaches_the_function(shop: Shop, plain: None) -> None:
    context = base64.b64encode(json.dumps({"custom": {"user": "u1"}}).encode()).decode()
    assert answer(shop.client.invoke(FunctionName="talk", ClientContext=context))["custom"] == {"user": "u1"}
    assert refused(shop.client.invoke, FunctionName="talk", ClientContext="e30") == (
        "InvalidRequestContentException",
        "Client context must be a valid Base64-encoded JSON object.",
        400,
    )


def padded(size: int) -> bytes:
    """An event of so many bytes."""
    return b'{"more":0}'.ljust(size)


def test_payloads_are_taken_at_their_limits_and_refused_past_them(shop: Shop, plain: None) -> None:
    invoke = shop.client.invoke
    assert invoke(FunctionName="talk", Payload=padded(6 << 20))["StatusCode"] == 200
    assert refused(invoke, FunctionName="talk", Payload=padded((6 << 20) + 1)) == (
        "RequestTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        413,
    )
    assert invoke(FunctionName="talk", InvocationType="Event", Payload=padded(1 << 20))["StatusCode"] == 202
    assert refused(invoke, FunctionName="talk", InvocationType="Event", Payload=padded((1 << 20) + 1)) == (
        "RequestTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        413,
    )


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"InvocationType": "Later"}, VALIDATION, "1 validation error detected: Value 'Later' at "
         "'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, "
         "RequestResponse, DryRun]"),
        ({"LogType": "All"}, VALIDATION, "1 validation error detected: Value 'All' at 'logType' failed to "
         "satisfy constraint: Member must satisfy enum value set: [None, Tail]"),
        ({"Qualifier": "prod"}, "ResourceNotFoundException",
         "Function not found: arn:aws:lambda:us-east-1:000000000000:function:talk:prod"),
        ({"FunctionName": "talk:prod"}, "ResourceNotFoundException",
         "Function not found: arn:aws:lambda:us-east-1:000000000000:function:talk:prod"),
        ({"Payload": b"{"}, "InvalidRequestContentException", "Could not parse request body into json: "),
    ],
)  # fmt: skip
def test_an_invocation_is_refused_in_awss_words(
    shop: Shop, plain: None, given: dict[str, Any], code: str, words: str
) -> None:
    refusal = refused(shop.client.invoke, **{"FunctionName": "talk", **given})
    assert refusal[0] == code
    assert refusal[1].startswith(words)


def test_an_event_without_content_and_a_dry_run_have_no_answer(shop: Shop, plain: None) -> None:
    told = shop.client.invoke(FunctionName="talk", InvocationType="DryRun", Qualifier="$LATEST")
    assert (told["StatusCode"], told["Payload"].read()) == (204, b"")
    assert answer(shop.client.invoke(FunctionName="talk", Payload=b""))["region"] is None
