"""The one table of AWS's errors: whose fault, whether it can get better, and what somebody may do."""

import pytest

from tailrace.mapping import aws_errors
from tailrace.mapping.aws_errors import CORRECT_THE_NAME, LOG_IN, SET_THE_CLOCK, Verdict, verdict
from tailrace.mapping.outcomes import FailureKind

RECORD, THROTTLED, UNAVAILABLE = FailureKind.RECORD, FailureKind.THROTTLED, FailureKind.UNAVAILABLE


@pytest.mark.parametrize(
    ("code", "words", "status", "expected"),
    [
        ("ExpiredToken", "The security token included in the request is expired", 403, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("ExpiredTokenException", "", 400, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("InvalidClientTokenId", "", 403, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("UnrecognizedClientException", "", 400, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", 403, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("SignatureDoesNotMatch", "Signature expired: 20261127T000000Z is now earlier than …", 403, Verdict(UNAVAILABLE, hint=SET_THE_CLOCK)),
        ("InvalidSignatureException", "Signature not yet current: …", 400, Verdict(UNAVAILABLE, hint=SET_THE_CLOCK)),
        ("RequestTimeTooSkewed", "", 403, Verdict(UNAVAILABLE, hint=SET_THE_CLOCK)),
        ("NoCredentialsError", "", 0, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("UnauthorizedSSOTokenError", "", 0, Verdict(UNAVAILABLE, hint=LOG_IN)),
        ("ResourceNotFoundException", "", 400, Verdict(UNAVAILABLE, hint=CORRECT_THE_NAME)),
        ("ThrottlingException", "", 400, Verdict(THROTTLED)),
        ("WhoKnows", "", 429, Verdict(THROTTLED)),
        ("SlowDown", "", 503, Verdict(THROTTLED)),
        ("WhoKnows", "", 500, Verdict(UNAVAILABLE)),
        ("RequestTimeout", "", 400, Verdict(UNAVAILABLE)),
        ("InvalidMessageContents", "", 400, Verdict(RECORD, final=True)),
        ("ValidationException", "Item size has exceeded the maximum allowed size", 400, Verdict(RECORD, final=True)),
        ("WhoKnows", "", 400, Verdict(RECORD)),
    ],
)  # fmt: skip
def test_what_a_code_means(code: str, words: str, status: int, expected: Verdict) -> None:
    assert verdict(code, words, status=status) == expected


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("sqs", "send_message_batch", "sqs:SendMessage"), ("sns", "publish_batch", "sns:Publish"),
        ("events", "put_events", "events:PutEvents"), ("s3", "put_object", "s3:PutObject"),
        ("dynamodb", "delete_item", "dynamodb:DeleteItem"),
    ],
)  # fmt: skip
def test_a_denied_call_names_the_permission_that_lacks(service: str, operation: str, action: str) -> None:
    said = verdict("AccessDeniedException", status=400, service=service, operation=operation)
    assert said.kind is UNAVAILABLE
    assert action in str(said.hint)


def test_no_code_stands_in_two_tables() -> None:
    tables = [
        aws_errors.THROTTLING, aws_errors.AWAY, aws_errors.CREDENTIALS, aws_errors.DENIED, aws_errors.SKEW,
        aws_errors.NOWHERE, aws_errors.CONTENT,
    ]  # fmt: skip
    assert sum(map(len, tables)) == len(frozenset().union(*tables))
