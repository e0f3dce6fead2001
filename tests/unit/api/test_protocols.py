"""Requests that ask by path or by form: which operation, which members, and how errors are told."""

import re

import pytest

from tailrace.api.protocols import query_refusal, read_query, read_rest, rest_refusal, routes_of
from tailrace.api.registry import LAMBDA, STS, find_operations
from tailrace.errors import CORAL, ApiError

ROUTES = routes_of(find_operations((LAMBDA,)).values())
FORMS = {one.name: one for one in find_operations((STS,)).values()}
OTHER = re.compile(r"\{\w+\}")


@pytest.mark.parametrize("name", sorted(LAMBDA.model.operations))
def test_every_operation_of_the_model_is_found_where_the_model_has_it(name: str) -> None:
    place = LAMBDA.model.operations[name]
    url = OTHER.sub("any%3Athing", place["path"]).encode()
    operation, members = read_rest(ROUTES, place["method"].encode(), url, {}, b"{}")
    assert operation.name == name
    in_path = {one for one, (where, _) in LAMBDA.model.places(name).items() if where == "uri"}
    assert {members[one] for one in in_path} <= {"any:thing"}


@pytest.mark.parametrize("url", [b"/2015-03-31/nothing", b"/", b"/2015-03-31/functions/a/b/c", b"/\xff"])
def test_a_path_that_is_none_is_unknown(url: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        read_rest(ROUTES, b"GET", url, {}, b"")
    assert (refused.value.code, refused.value.status) == ("UnknownOperationException", 404)


def test_members_stand_in_path_query_header_and_body() -> None:
    _, members = read_rest(
        ROUTES,
        b"POST",
        b"/2015-03-31/functions/echo/invocations?Qualifier=one",
        {b"x-amz-invocation-type": b"Event", b"x-amzn-trace-id": b"Root=1"},
        b"[1]",
    )
    assert members == {
        "FunctionName": "echo",
        "Qualifier": "one",
        "InvocationType": "Event",
        "TraceId": "Root=1",
        "Payload": b"[1]",
    }
    _, members = read_rest(ROUTES, b"DELETE", b"/2017-03-31/tags/arn?tagKeys=a&tagKeys=b", {}, b"")
    assert members == {"Resource": "arn", "TagKeys": ["a", "b"]}


def test_a_member_of_the_path_cannot_be_given_in_the_body() -> None:
    _, members = read_rest(
        ROUTES, b"POST", b"/2015-03-31/functions/echo/policy", {}, b'{"FunctionName":"other","Qualifier":"x"}'
    )
    assert members == {"FunctionName": "echo"}


@pytest.mark.parametrize(
    ("text", "read"), [("7", 7), ("-7", -7), ("7.5", "7.5"), ("a", "a"), ("9" * 30, "9" * 30)]
)
def test_a_number_of_a_query_is_read_as_one_or_left_to_be_refused(text: str, read: object) -> None:
    _, members = read_rest(ROUTES, b"GET", f"/2015-03-31/functions?MaxItems={text}".encode(), {}, b"")
    assert members == {"MaxItems": read}


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"\xff"])
def test_a_body_that_is_no_object_cannot_be_parsed(body: bytes) -> None:
    with pytest.raises(ApiError, match="Could not parse request body into json") as refused:
        read_rest(ROUTES, b"POST", b"/2015-03-31/functions", {}, body)
    assert refused.value.code == "InvalidRequestContentException"


def test_a_form_has_structures_and_lists() -> None:
    operation, members = read_query(
        FORMS,
        b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn&Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.10.Key=c",
    )
    assert operation.name == "AssumeRole"
    assert members == {"RoleArn": "arn", "Tags": [{"Key": "a"}, {"Key": "b"}, {"Key": "c"}]}


def test_an_error_is_told_as_its_protocol_tells_it() -> None:
    error = ApiError("MissingAuthenticationTokenException", "a < b", prefix=CORAL)
    told = rest_refusal(error)
    assert told.headers == {"X-Amzn-ErrorType": "MissingAuthenticationTokenException"}
    assert told.body == b'{"Type":"User","Message":"a < b","message":"a < b"}'
    told = query_refusal(STS, error, "r-1")
    assert (told.status, told.body.decode()) == (
        403,
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        "<Code>MissingAuthenticationToken</Code><Message>a &lt; "
        "b</Message></Error><RequestId>r-1</RequestId></ErrorResponse>",
    )
