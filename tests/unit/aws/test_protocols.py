"""Requests and answers of AWS's protocols: botocore's serializers and parsers are the oracles.

Rules of this file: what differs on purpose is said beside it: a time in XML stays a text, a blob
in JSON stays base64.
"""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote

import botocore.parsers
import botocore.serialize
import botocore.session
import pytest
from botocore import xform_name
from botocore.awsrequest import HeadersDict
from hypothesis import given
from hypothesis import strategies as st

from tailrace.aws.errors import AwsError, Meaning
from tailrace.aws.operations import OperationModel, compiled
from tailrace.aws.protocols import error_of, members_of, wire_of
from tailrace.errors import InternalError


@cache
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


@cache
def operation(service: str, name: str) -> OperationModel:
    return compiled(service, xform_name(name), service_model(service).operation_model(name))


def theirs(service: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    model = service_model(service)
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"], include_validation=False)
    request: dict[str, Any] = serializer.serialize_to_request(parameters, model.operation_model(name))
    return request


ENTRIES = [
    {"Id": "0", "Message": "a & b", "MessageAttributes": {"n": {"DataType": "String", "StringValue": "é"}}},
    {
        "Id": "1",
        "Message": "{}",
        "MessageAttributes": {"b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
    },
]
WHEN = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "GetItem", {"TableName": "t", "Key": {"pk": {"S": "ü"}}, "ConsistentRead": True}),
    ("dynamodb", "PutItem",
     {"TableName": "t", "Item": {"b": {"B": b"\x01\x02"}, "l": {"L": [{"BS": [b"\x01"]}, {"NULL": True}]}}}),
    ("dynamodbstreams", "GetShardIterator",
     {"StreamArn": "arn", "ShardId": "s", "ShardIteratorType": "LATEST"}),
    ("kinesis", "PutRecord", {"StreamName": "s", "PartitionKey": "k", "Data": b"abc"}),
    ("kinesis", "GetShardIterator",
     {"StreamName": "s", "ShardId": "s", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": WHEN}),
    ("events", "PutEvents",
     {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}", "Time": WHEN, "Resources": ["x"]}]}),
    ("sqs", "SendMessageBatch",
     {"QueueUrl": "u",
      "Entries": [{"Id": "0", "MessageBody": "b",
                   "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}}}]}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "s"}),
    ("sns", "Publish", {"TopicArn": "arn", "Message": "m"}),
    ("sns", "PublishBatch", {"TopicArn": "arn", "PublishBatchRequestEntries": ENTRIES}),
    ("sns", "PublishBatch", {"TopicArn": "arn", "PublishBatchRequestEntries": []}),
    ("sts", "AssumeRole",
     {"RoleArn": "arn", "RoleSessionName": "me", "DurationSeconds": 900,
      "Tags": [{"Key": "a", "Value": "b"}]}),
    ("lambda", "Invoke",
     {"FunctionName": "arn:aws:lambda:eu-west-1:1:function:f", "Payload": b'{"a":1}',
      "InvocationType": "Event", "Qualifier": "live"}),
    ("lambda", "UpdateEventSourceMapping", {"UUID": "u-1", "BatchSize": 10, "Enabled": True}),
    ("lambda", "ListEventSourceMappings", {"MaxItems": 10, "FunctionName": "f"}),
    ("s3", "PutObject",
     {"Bucket": "b", "Key": "a/b c/ü~.json", "Body": b"x", "ContentType": "text/plain", "IfNoneMatch": "*",
      "Metadata": {"a": "b"}}),
    ("s3", "GetObject", {"Bucket": "b", "Key": "a", "IfMatch": '"etag"', "Range": "bytes=0-9"}),
    ("s3", "GetObject", {"Bucket": "b", "Key": "a", "IfModifiedSince": WHEN}),
    ("s3", "DeleteObject", {"Bucket": "b", "Key": "a", "VersionId": "v&1"}),
    ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "a/", "MaxKeys": 2, "ContinuationToken": "x=="}),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "a"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "name", "parameters"), CALLS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_request_is_what_botocore_would_send(service: str, name: str, parameters: dict[str, Any]) -> None:
    ours, wanted = wire_of(operation(service, name), parameters), theirs(service, name, parameters)
    assert (ours.method, ours.path) == (wanted["method"], wanted["url_path"].partition("?")[0])
    fixed = parse_qsl(wanted["url_path"].partition("?")[2], keep_blank_values=True)
    asked = [*fixed, *wanted["query_string"].items()] if wanted["query_string"] else fixed
    assert ours.query == tuple((quote(str(n), safe="-._~"), quote(str(v), safe="-._~")) for n, v in asked)
    body = wanted["body"]
    if isinstance(body, dict):  # a form
        assert parse_qsl(ours.body.decode(), keep_blank_values=True) == [(n, str(v)) for n, v in body.items()]
    elif operation(service, name).protocol == "json" or (
        body and service == "lambda" and not operation(service, name).payload
    ):
        assert json.loads(ours.body) == json.loads(body)
    else:
        assert ours.body == (body or b"")
    wanted_headers = {name.lower(): str(value) for name, value in wanted["headers"].items()}
    assert wanted_headers.items() <= dict(ours.headers).items()


@given(
    st.lists(
        st.fixed_dictionaries(
            {"Id": st.text(max_size=3), "Message": st.text(max_size=9)},
            optional={
                "Subject": st.text(max_size=3),
                "MessageAttributes": st.dictionaries(
                    st.text(max_size=3),
                    st.fixed_dictionaries(
                        {"DataType": st.just("Binary"), "BinaryValue": st.binary(max_size=4)}
                    ),
                    max_size=3,
                ),
            },
        ),
        max_size=3,
    )
)
def test_any_form_is_what_botocore_would_send(entries: list[dict[str, Any]]) -> None:
    parameters = {"TopicArn": "arn", "PublishBatchRequestEntries": entries}
    ours = parse_qsl(
        wire_of(operation("sns", "PublishBatch"), parameters).body.decode(), keep_blank_values=True
    )
    wanted = theirs("sns", "PublishBatch", parameters)["body"]
    assert ours == [(name, str(value)) for name, value in wanted.items()]


@pytest.mark.parametrize(
    ("service", "name", "parameters", "words"),
    [
        ("dynamodb", "PutItem", {"Item": {"a": {"S": object()}}}, "not JSON serializable: object"),
        ("sns", "Publish", {"Nothing": "x"}, "Nothing"),
        ("s3", "GetObject", {"Bucket": "b"}, "Key is missing"),
        ("s3", "GetObject", {"Bucket": "b", "Key": ""}, "Key is empty"),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "ContentType": "a\nb"}, "one line"),
        ("lambda", "Invoke", {"FunctionName": "f", "Payload": 1}, "int is not allowed"),
    ],
)  # fmt: skip
def test_what_a_protocol_cannot_say_is_refused_for_good(
    service: str, name: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(AwsError, match=words) as refused:
        wire_of(operation(service, name), parameters)
    assert refused.value.verdict.meaning is Meaning.REFUSED


def test_an_operation_that_wants_xml_is_refused_by_name() -> None:
    with pytest.raises(InternalError, match=r"s3\.delete_objects wants a body of XML"):
        operation("s3", "DeleteObjects")


SNS = b"""<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Successful><member><MessageId>m</MessageId><Id>0</Id></member>
</Successful><Failed><member><Id>1</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member></Failed></PublishBatchResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"""
LIST = b"""<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/><KeyCount>2</KeyCount>
<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><NextContinuationToken>x==</NextContinuationToken><Contents><Key>a</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>
</Contents><Contents><Key>b</Key><Size>4294967296</Size></Contents><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>"""
TOPIC = b"""<GetTopicAttributesResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><GetTopicAttributesResult><Attributes><entry><key>Owner</key><value>1</value></entry>
<entry><key>FifoTopic</key><value>true</value></entry></Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"""
ANSWERS: list[tuple[str, str, int, dict[str, str], bytes]] = [
    ("dynamodb", "GetItem", 200, {}, b'{"Item":{"pk":{"S":"a"}}}'),
    ("sqs", "SendMessageBatch", 200, {},
     b'{"Successful":[{"Id":"0","MessageId":"m","MD5OfMessageBody":"x"}]}'),
    ("events", "PutEvents", 200, {}, b'{"FailedEntryCount":0,"Entries":[{"EventId":"e"}]}'),
    ("sns", "PublishBatch", 200, {}, SNS),
    ("sns", "GetTopicAttributes", 200, {}, TOPIC),
    ("s3", "ListObjectsV2", 200, {}, LIST),
    ("s3", "PutObject", 200, {"etag": '"e"', "x-amz-version-id": "v"}, b""),
    ("s3", "HeadObject", 200,
     {"etag": '"e"', "content-length": "12", "x-amz-meta-a": "b", "x-amz-delete-marker": "true"}, b""),
    ("lambda", "ListEventSourceMappings", 200, {}, b'{"EventSourceMappings":[{"UUID":"u"}]}'),
    ("secretsmanager", "PutSecretValue", 200, {}, b"{}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "name", "status", "headers", "body"),
    ANSWERS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_is_what_botocore_reads(
    service: str, name: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    model = service_model(service)
    parser = botocore.parsers.create_parser(model.metadata["protocol"])
    shape = model.operation_model(name).output_shape
    wanted = parser.parse({"status_code": status, "headers": HeadersDict(headers), "body": body}, shape)
    del wanted["ResponseMetadata"]
    assert members_of(operation(service, name), status, headers, body) == wanted


def test_a_body_that_is_an_object_comes_as_bytes() -> None:
    members = members_of(
        operation("s3", "GetObject"), 200, {"etag": '"e"', "content-length": "2"}, b"\x00\xff"
    )
    assert members == {"Body": b"\x00\xff", "ETag": '"e"', "ContentLength": 2, "Metadata": {}}
    invoked = members_of(
        operation("lambda", "Invoke"), 200, {"x-amz-function-error": "Unhandled"}, b'{"a":1}'
    )
    assert invoked == {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": b'{"a":1}'}


ENTITIES = b'<!DOCTYPE a [<!ENTITY b "c">]><ListBucketResult><Name>&b;</Name></ListBucketResult>'


@pytest.mark.parametrize(
    ("service", "name", "body"),
    [
        ("dynamodb", "GetItem", b"<html>"), ("dynamodb", "GetItem", b"[]"),
        ("dynamodb", "GetItem", b'{"Item":'), ("sns", "Publish", b"{}"),
        ("sns", "Publish", b""), ("s3", "ListObjectsV2", b"nothing"), ("s3", "ListObjectsV2", ENTITIES),
        ("lambda", "ListEventSourceMappings", b"x"),
        ("s3", "ListObjectsV2", b"<ListBucketResult><MaxKeys>many</MaxKeys></ListBucketResult>"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_outage_and_is_shown(service: str, name: str, body: bytes) -> None:
    with pytest.raises(AwsError, match="an answer that is none of") as broken:
        members_of(operation(service, name), 200, {}, body)
    assert broken.value.verdict.meaning is Meaning.UNAVAILABLE


def test_an_answer_that_was_changed_on_its_way_is_an_outage() -> None:
    from zlib import crc32

    body = b'{"Item":{}}'
    told = {"x-amz-crc32": str(crc32(body))}
    assert members_of(operation("dynamodb", "GetItem"), 200, told, body) == {"Item": {}}
    with pytest.raises(AwsError, match="checksum") as broken:
        members_of(operation("dynamodb", "GetItem"), 200, told, body + b" ")
    assert broken.value.verdict.meaning is Meaning.UNAVAILABLE


JSON = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}'
QUERY = b"""<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"""
OLD_QUERY = (
    b"<Response><Errors><Error><Code>Throttling</Code><Message>slow</Message></Error></Errors></Response>"
)
OBJECTS = b"<Error><Code>PreconditionFailed</Code><Message>At least one</Message></Error>"
QUEUE = b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}'
ERRORS: list[tuple[str, str, int, dict[str, str], bytes, tuple[str, str, Meaning, int]]] = [
    ("dynamodb", "GetItem", 400, {}, JSON, ("ThrottlingException", "Rate exceeded", Meaning.THROTTLED, 0)),
    ("dynamodb", "GetItem", 400, {"retry-after": "2"}, JSON,
     ("ThrottlingException", "Rate exceeded", Meaning.THROTTLED, 2_000)),
    ("dynamodb", "GetItem", 400, {"x-amz-retry-after": "150"}, JSON,
     ("ThrottlingException", "Rate exceeded", Meaning.THROTTLED, 150)),
    ("dynamodb", "GetItem", 400, {}, b'{"__type":"a#ConditionalCheckFailedException","Message":"no"}',
     ("ConditionalCheckFailedException", "no", Meaning.CONDITION, 0)),
    ("dynamodb", "GetItem", 503, {"retry-after": "3"}, b"<html>busy</html>",
     ("503", "<html>busy</html>", Meaning.UNAVAILABLE, 3_000)),
    ("dynamodb", "GetItem", 500, {}, b"", ("500", "Server Error", Meaning.UNAVAILABLE, 0)),
    ("sqs", "SendMessage", 400, {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
     QUEUE,
     ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.", Meaning.NOWHERE, 0)),
    ("sqs", "SendMessage", 400, {}, QUEUE,
     ("QueueDoesNotExist", "The specified queue does not exist.", Meaning.NOWHERE, 0)),
    ("sns", "Publish", 403, {}, QUERY, ("AuthorizationError", "no", Meaning.DENIED, 0)),
    ("sts", "AssumeRole", 400, {}, OLD_QUERY, ("Throttling", "slow", Meaning.THROTTLED, 0)),
    ("sns", "Publish", 502, {}, b"Bad gateway", ("502", "Bad gateway", Meaning.UNAVAILABLE, 0)),
    ("s3", "PutObject", 412, {}, OBJECTS, ("PreconditionFailed", "At least one", Meaning.CONDITION, 0)),
    ("s3", "HeadObject", 404, {}, b"", ("404", "Server Error", Meaning.NOWHERE, 0)),
    ("s3", "HeadObject", 412, {}, b"", ("412", "Server Error", Meaning.CONDITION, 0)),
    ("lambda", "Invoke", 429, {"x-amzn-errortype": "TooManyRequestsException:http://x", "retry-after": "1"},
     b'{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}',
     ("TooManyRequestsException", "Rate Exceeded.", Meaning.THROTTLED, 1_000)),
    ("lambda", "Invoke", 429, {}, b'{"retryAfterSeconds":"4","Message":"x"}',
     ("429", "x", Meaning.THROTTLED, 4_000)),
    ("lambda", "Invoke", 413, {"x-amzn-errortype": "RequestTooLargeException"}, b'{"message":"large"}',
     ("RequestTooLargeException", "large", Meaning.REFUSED, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("service", "name", "status", "headers", "body", "expected"), ERRORS)
def test_what_an_error_says_in_each_protocol(
    service: str,
    name: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
    expected: tuple[str, str, Meaning, int],
) -> None:
    error = error_of(operation(service, name), status, headers, body, "Server Error")
    assert (error.code, error.words, error.verdict.meaning, error.retry_after_ms) == expected
    assert error.status == status
    assert str(error).startswith(f"{service}.{xform_name(name)}: {error.code}: {error.words}")


def test_members_of_a_refusal_are_kept() -> None:
    body = (
        b'{"__type":"x#TransactionCanceledException","Message":"m","CancellationReasons":[{"Code":"None"}]}'
    )
    error = error_of(operation("dynamodb", "TransactWriteItems"), 400, {}, body)
    assert error.members["CancellationReasons"] == [{"Code": "None"}]
