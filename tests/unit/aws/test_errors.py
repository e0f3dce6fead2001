"""The one table of AWS's errors: whose fault, whether it can get better, and what the user may do."""

import pytest

from tailrace.aws import errors
from tailrace.aws.errors import (
    CORRECT_THE_NAME,
    LOG_IN,
    SAY_THE_REGION,
    SET_THE_CLOCK,
    AwsError,
    ErrorMeaning,
    Meaning,
    api_error,
    is_condition,
    sink_error,
    store_error,
    verdict,
    verdict_here,
)
from tailrace.errors import ApiError, Refused, SinkError, StoreError, Throttled, Unavailable
from tailrace.mapping.outcomes import FailureKind

RECORD, THROTTLED, UNAVAILABLE = FailureKind.RECORD, FailureKind.THROTTLED, FailureKind.UNAVAILABLE
KNOWS_US, CLOCK, NOT_THERE = (
    ErrorMeaning(Meaning.CREDENTIALS, LOG_IN), ErrorMeaning(Meaning.SKEW, SET_THE_CLOCK),
    ErrorMeaning(Meaning.NOWHERE, CORRECT_THE_NAME)
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words", "status", "expected"),
    [
        ("NoRegionError", "You must specify a region.", 0, ErrorMeaning(Meaning.NOWHERE, SAY_THE_REGION)),
        ("ExpiredToken", "The security token included in the request is expired", 403, KNOWS_US),
        ("ExpiredTokenException", "", 400, KNOWS_US),
        ("InvalidClientTokenId", "", 403, KNOWS_US),
        ("UnrecognizedClientException", "", 400, KNOWS_US),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", 403, KNOWS_US),
        ("SignatureDoesNotMatch", "Signature expired: 20261127T000000Z is now earlier than …", 403, CLOCK),
        ("InvalidSignatureException", "Signature not yet current: …", 400, CLOCK),
        ("RequestTimeTooSkewed", "", 403, CLOCK),
        ("NoCredentialsError", "", 0, KNOWS_US),
        ("UnauthorizedSSOTokenError", "", 0, KNOWS_US),
        ("ResourceNotFoundException", "", 400, NOT_THERE),
        ("ThrottlingException", "", 400, ErrorMeaning(Meaning.THROTTLED)),
        ("WhoKnows", "", 429, ErrorMeaning(Meaning.THROTTLED)),
        ("SlowDown", "", 503, ErrorMeaning(Meaning.THROTTLED)),
        ("WhoKnows", "", 500, ErrorMeaning(Meaning.UNAVAILABLE)),
        ("RequestTimeout", "", 400, ErrorMeaning(Meaning.UNAVAILABLE)),
        ("InvalidMessageContents", "", 400, ErrorMeaning(Meaning.REFUSED)),
        ("ValidationException", "Item size has exceeded the maximum allowed size", 400,
         ErrorMeaning(Meaning.REFUSED)),
        ("WhoKnows", "", 400, ErrorMeaning(Meaning.UNKNOWN)),
        ("ConditionalCheckFailedException", "The conditional request failed", 400,
         ErrorMeaning(Meaning.CONDITION)),
        ("PreconditionFailed", "", 412, ErrorMeaning(Meaning.CONDITION)),
        ("TransactionConflictException", "", 400, ErrorMeaning(Meaning.CONFLICT)),
        ("ConditionalRequestConflict", "", 409, ErrorMeaning(Meaning.CONFLICT)),
    ],
)  # fmt: skip
def test_what_a_code_means(code: str, words: str, status: int, expected: ErrorMeaning) -> None:
    assert verdict(code, words, status=status) == expected


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("dynamodbstreams", "get_records", "dynamodb:GetRecords"),
        ("sqs", "send_message_batch", "sqs:SendMessage"), ("sns", "publish_batch", "sns:Publish"),
        ("events", "put_events", "events:PutEvents"), ("s3", "put_object", "s3:PutObject"),
        ("dynamodb", "delete_item", "dynamodb:DeleteItem"),
    ],
)  # fmt: skip
def test_a_denied_call_names_the_permission_that_lacks(service: str, operation: str, action: str) -> None:
    said = verdict("AccessDeniedException", status=400, service=service, operation=operation)
    assert said.meaning is Meaning.DENIED
    assert said.kind is UNAVAILABLE
    assert action in str(said.hint)


def test_no_code_stands_in_two_tables() -> None:
    tables = [
        errors.THROTTLING, errors.AWAY, errors.CREDENTIALS, errors.DENIED, errors.SKEW,
        errors.NOWHERE, errors.CONTENT, errors.CONDITION, errors.CONFLICT,
    ]  # fmt: skip
    assert sum(map(len, tables)) == len(frozenset().union(*tables))


KINDS = {
    Meaning.THROTTLED: THROTTLED, Meaning.CONFLICT: THROTTLED, Meaning.UNAVAILABLE: UNAVAILABLE,
    Meaning.CREDENTIALS: UNAVAILABLE,
    Meaning.DENIED: UNAVAILABLE, Meaning.SKEW: UNAVAILABLE, Meaning.NOWHERE: UNAVAILABLE,
    Meaning.CONDITION: RECORD,
    Meaning.REFUSED: RECORD, Meaning.UNKNOWN: RECORD,
}  # fmt: skip


@pytest.mark.parametrize("meaning", Meaning)
def test_only_what_is_said_about_a_record_uses_up_its_attempts(meaning: Meaning) -> None:
    assert ErrorMeaning(meaning).kind is KINDS[meaning]
    assert ErrorMeaning(meaning).is_final is (meaning is Meaning.REFUSED)


def test_an_exception_of_botocores_that_no_table_has_is_a_connection_that_failed() -> None:
    assert verdict_here("EndpointConnectionError").meaning is Meaning.UNAVAILABLE
    assert verdict_here("NoCredentialsError") == KNOWS_US
    assert verdict_here("ParamValidationError").meaning is Meaning.REFUSED


def told(meaning: Meaning, hint: str | None = None) -> AwsError:
    members = {"__type": "x#Code", "message": "words", "Item": {"pk": {"S": "a"}}}
    return AwsError(
        "sqs.publish",
        ErrorMeaning(meaning, hint),
        "Code",
        "words",
        status=409,
        retry_after_ms=1_500,
        members=members,
    )


@pytest.mark.parametrize(
    ("meaning", "kind"),
    [
        (Meaning.THROTTLED, Throttled), (Meaning.CONFLICT, Throttled), (Meaning.UNAVAILABLE, Unavailable),
        (Meaning.CREDENTIALS, Unavailable),
        (Meaning.REFUSED, Refused), (Meaning.CONDITION, SinkError), (Meaning.UNKNOWN, SinkError),
    ],
)  # fmt: skip
def test_a_sink_says_it_in_its_own_words(meaning: Meaning, kind: type[SinkError]) -> None:
    error = sink_error(told(meaning, "do this"))
    assert type(error) is kind
    assert str(error).startswith("sqs.publish: Code: words")
    if isinstance(error, Throttled | Unavailable):
        assert error.retry_after == 1.5
    if kind is Unavailable:
        assert error.hint == "do this"


def test_a_handlers_client_says_a_refusal_in_awss_words_and_an_outage_in_ours() -> None:
    for meaning in (Meaning.CONDITION, Meaning.CONFLICT, Meaning.REFUSED, Meaning.UNKNOWN):
        error = api_error(told(meaning))
        assert isinstance(error, ApiError)
        assert (error.code, error.message, error.status) == ("Code", "words", 409)
        assert error.extra == {"Item": {"pk": {"S": "a"}}}
    assert isinstance(api_error(told(Meaning.NOWHERE)), Unavailable)
    assert isinstance(api_error(told(Meaning.THROTTLED)), Throttled)


def test_a_store_names_its_table_and_what_to_do() -> None:
    error = store_error(told(Meaning.CREDENTIALS, LOG_IN), "marks")
    assert type(error) is StoreError
    assert str(error) == f"marks: Code: words\n  next: {LOG_IN}"


def test_a_condition_is_known_by_what_an_error_was_raised_from() -> None:
    def raised(meaning: Meaning) -> SinkError:
        try:
            raise sink_error(told(meaning)) from told(meaning)
        except SinkError as error:
            return error

    assert is_condition(raised(Meaning.CONDITION))
    assert not is_condition(raised(Meaning.CONFLICT))
    assert not is_condition(SinkError("x"))
