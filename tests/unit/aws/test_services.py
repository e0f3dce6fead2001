"""Services beside DynamoDB: objects of S3 with their redirections, topics of SNS, functions of Lambda.

Rules of this file: those of test_client.py.
"""

import pytest

from tailrace.aws.errors import Meaning
from tailrace.aws.places import KNOWN, Access
from tests.unit.aws.scripted import Scripted, answer, called, refused

pytestmark = pytest.mark.usefixtures("account")


def test_an_object_is_put_got_listed_and_deleted(script: Scripted) -> None:
    listed = b"<ListBucketResult><Contents><Key>a/b c</Key></Contents></ListBucketResult>"
    script.said.extend(
        [
            answer(200, etag='"e"'),
            answer(200, b"\x00\xff"),
            answer(200, listed),
            answer(204),
            answer(200, b"", etag="x"),
        ]
    )
    what = {"Bucket": "buck", "Key": "a/b c"}
    answers = called(
        script,
        ("s3", "put_object", {**what, "Body": b"\x00\xff", "IfNoneMatch": "*"}),
        ("s3", "get_object", what),
        ("s3", "list_objects_v2", {"Bucket": "buck", "Prefix": "a/"}),
        ("s3", "delete_object", what),
        ("s3", "head_object", what),
    )
    assert answers[0] == {"ETag": '"e"'}
    assert answers[1]["Body"] == b"\x00\xff"
    assert answers[2] == {"Contents": [{"Key": "a/b c"}]}
    assert answers[3] == {}
    assert answers[4]["ETag"] == "x"
    assert [(request.method, request.target) for request in script.asked] == [
        ("PUT", "/buck/a/b%20c"),
        ("GET", "/buck/a/b%20c"),
        ("GET", "/buck?list-type=2&prefix=a%2F"),
        ("DELETE", "/buck/a/b%20c"),
        ("HEAD", "/buck/a/b%20c"),
    ]
    assert script.asked[0].headers["if-none-match"] == "*"
    assert len(script.asked[0].headers["x-amz-content-sha256"]) == 64


def test_a_head_tells_of_an_object_of_any_size(script: Scripted) -> None:
    script.said.append(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    (answer,) = called(script, ("s3", "head_object", {"Bucket": "b", "Key": "k"}), most_bytes=1_000)
    assert answer["ContentLength"] == 5_000


def test_nobody_is_sent_elsewhere(script: Scripted) -> None:
    script.said.append(answer(307, b"", location=f"{script.url}/elsewhere"))
    error = refused(script)
    assert (error.code, error.status) == ("307", 307)
    assert len(script.asked) == 1


def test_buckets_that_send_from_region_to_region_are_followed_once(script: Scripted) -> None:
    moved = b"<Error><Code>PermanentRedirect</Code></Error>"
    script.said.extend(answer(301, moved, x_amz_bucket_region=f"eu-west-{number}") for number in (1, 2, 3))
    assert refused(script, ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"})).status == 301
    assert len(script.asked) == 2


def test_a_large_object_arrives_whole(script: Scripted) -> None:
    body = bytes(range(256)) * 10_000
    called(script, ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": body}))
    assert script.asked[0].body == body


def test_a_bucket_of_another_region_is_asked_there_once(script: Scripted) -> None:
    there = answer(301, b"<Error><Code>PermanentRedirect</Code></Error>", x_amz_bucket_region="eu-west-1")
    script.said.extend([there, answer(200), answer(200)])
    what = ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"})
    assert called(script, what, what) == [{}, {}]
    regions = [request.headers["authorization"].split("/")[2] for request in script.asked]
    assert regions == ["us-east-1", "eu-west-1", "eu-west-1"]
    script.otherwise = there
    assert refused(script, what).verdict.meaning is Meaning.NOWHERE


def test_buckets_are_hosts_at_aws_and_paths_elsewhere() -> None:
    place = KNOWN.place("s3", Access("eu-west-1"), "buck")
    assert (place.url, place.prefix) == ("https://buck.s3.eu-west-1.amazonaws.com", "")
    assert (place.scope.region, place.scope.service) == ("eu-west-1", "s3")
    dotted = KNOWN.place("s3", Access("eu-west-1"), "a.b")
    assert (dotted.url, dotted.prefix) == ("https://s3.eu-west-1.amazonaws.com", "/a.b")
    here = KNOWN.place("s3", Access("eu-west-1", "http://127.0.0.1:9"), "buck")
    assert (here.url, here.prefix) == ("http://127.0.0.1:9", "/buck")


def test_a_topic_is_asked_by_a_form_and_a_function_by_its_path(script: Scripted) -> None:
    xml = b"<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>"
    script.said.extend([answer(200, xml), answer(200, b'{"a":1}')])
    answers = called(
        script,
        ("sns", "publish", {"TopicArn": "arn", "Message": "a&b"}),
        ("lambda", "invoke", {"FunctionName": "arn:aws:lambda:eu-west-1:1:function:f", "Payload": b"{}"}),
    )
    assert answers == [{"MessageId": "m"}, {"StatusCode": 200, "Payload": b'{"a":1}'}]
    assert script.asked[0].body == b"Action=Publish&Version=2010-03-31&TopicArn=arn&Message=a%26b"
    assert (
        script.asked[1].target
        == "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations"
    )
