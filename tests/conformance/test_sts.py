"""AWS's Security Token Service: who a client's credentials are, as Terraform, CDK and the SDKs
ask before anything else.
"""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conformance.client import Conformance, Raw, session

SIGNED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sts/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
    "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
}


def client(api: Conformance, key: str) -> Any:
    """A client of sts with an access key."""
    made = session().client(
        "sts",
        region_name="eu-west-1",
        endpoint_url="http://localhost:1",
        aws_access_key_id=key,
        aws_secret_access_key="thing",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        body = request.body if isinstance(request.body, bytes) else request.body.encode()
        answer = api.server.call(dict(request.headers.items()), body)
        return AWSResponse(request.url, answer.status, answer.headers, Raw(answer.body))

    made.meta.events.register("before-send.sts", send)
    return made


@pytest.mark.parametrize(
    ("key", "account"),
    [("any", "000000000000"), ("123456789012", "123456789012"), ("12345678901", "000000000000")],
)
def test_the_account_is_an_access_key_of_twelve_digits_else_the_default_one(
    api: Conformance, key: str, account: str
) -> None:
    answer = client(api, key).get_caller_identity()
    assert {name: answer[name] for name in ("Account", "Arn", "UserId")} == {
        "Account": account,
        "Arn": f"arn:aws:iam::{account}:root",
        "UserId": account,
    }
    assert answer["ResponseMetadata"]["RequestId"]


def raw(api: Conformance, body: bytes, **changed: str | None) -> tuple[int, str]:
    """Status and text of an answer."""
    headers = {name: value for name, value in {**SIGNED, **changed}.items() if value is not None}
    answer = api.server.call(headers, body)
    return answer.status, answer.body.decode()


def test_an_answer_is_xml_of_the_service_s_namespace(api: Conformance) -> None:
    status, text = raw(api, b"Action=GetCallerIdentity&Version=2011-06-15")
    assert status == 200
    assert text.startswith(
        "<GetCallerIdentityResponse "
        'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        "<Arn>arn:aws:iam::000000000000:root</Arn>"
    )
    assert "<ResponseMetadata><RequestId>" in text


def test_an_action_that_never_was_is_invalid(api: Conformance) -> None:
    status, text = raw(api, b"Action=Nothing%3C&Version=2011-06-15")
    assert status == 400
    assert "<Type>Sender</Type><Code>InvalidAction</Code>" in text
    assert "<Message>Could not find operation Nothing&lt; for version 2011-06-15</Message>" in text


def test_an_operation_that_is_not_there_says_so(api: Conformance) -> None:
    with pytest.raises(ClientError) as refused:
        client(api, "any").get_session_token()
    assert refused.value.response["Error"]["Message"] == (
        "Tailrace does not emulate GetSessionToken yet. `tailrace coverage` lists what it does."
    )


def test_a_form_without_a_signature_is_refused(api: Conformance) -> None:
    status, text = raw(api, b"Action=GetCallerIdentity", Authorization=None)
    assert (status, "<Code>MissingAuthenticationToken</Code>" in text) == (403, True)


@pytest.mark.parametrize(
    "body", [b"", b"Action", b"a=1&a.b=2&Action=GetCallerIdentity", b"\xff\xfe=%", b"=&=&."]
)
def test_no_form_breaks_the_server(api: Conformance, body: bytes) -> None:
    assert raw(api, body)[0] in (200, 400)
