"""What AWS's errors say: the one table of all that calls AWS, and the one error that a call raises.

Theory of operation. A call fails for the other side's sake (it wants fewer calls, or it is away), for the
caller's (who we are, what we may, what time it is, what we name), for the state that it was conditional on,
or for what was sent. Only the last says anything about a record; the others pass when an operator acts,
so they are an outage with a hint. What is refused by its content will be refused again.
Rules of this file: data and one decision; no client, no clock. A call raises `AwsError`; a port
says it in its own words (`sink_error`, `store_error`, `api_error`). Sources: API references of SQS, SNS,
EventBridge, S3, DynamoDB, STS ("Common error types"); botocore's names of exceptions.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct

from tailrace.errors import ApiError, PortError, Refused, SinkError, StoreError, Throttled, Unavailable
from tailrace.mapping.outcomes import FailureKind

THROTTLING: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "Throttled",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "KmsThrottled",
        "KMSThrottlingException",
        "KMSThrottling",
        "OverLimit",
        "AWS.SimpleQueueService.OverLimit",
        "LimitExceededException",
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "EC2ThrottledException",
    }
)
AWAY: Final = frozenset(
    {
        "InternalFailure",
        "InternalException",
        "InternalError",
        "InternalServerError",
        "InternalServiceError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
        "RequestTimeout",
        "RequestTimeoutException",
        "RequestAbortedException",
        "503 Service Unavailable",
        "OperationAborted",
        "ReplicatedWriteConflictException",
    }
)
CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "InvalidToken",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "UnrecognizedClient",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidSignature",
        "AuthFailure",
        "InvalidSecurity",
        "UnauthorizedException",
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "SSOError",
        "PendingAuthorizationExpiredError",
        "LoginAuthorizationCodeError",
        "UnknownCredentialError",
        "NoAuthTokenError",
        "LoginError",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "LoginInsufficientPermissions",
        "ProfileNotFound",
        "RefreshWithMFAUnsupportedError",
        "MetadataRetrievalError",
        "InfiniteLoopConfigError",
        "InvalidConfigError",
        "ConfigNotFound",
        "ConfigParseError",
    }
)
"""AWS's codes, and the names of botocore's exceptions for credentials that it could not find or renew."""
DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
        "NotAuthorized",
        "NotAuthorizedException",
        "AllAccessDisabled",
        "AccountProblem",
        "OptInRequired",
        "SubscriptionRequiredException",
        "KmsAccessDenied",
        "KMSAccessDenied",
        "KMSAccessDeniedException",
        "KmsOptInRequired",
        "KMSOptInRequired",
        "KmsDisabled",
        "KMSDisabled",
        "KMSDisabledException",
        "KmsInvalidState",
        "KMSInvalidState",
        "KMSInvalidStateException",
        "KmsNotFound",
        "KMSNotFound",
        "KMSNotFoundException",
        "Forbidden",
        "403",
    }
)
SKEW: Final = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired", "NotYetValid"})
SKEW_WORDS: Final = ("Signature expired", "Signature not yet current", "time too skewed")
"""How services without a code of their own say in a signature's error that the clocks differ."""
NOWHERE: Final = frozenset(
    {
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "InvalidAddress",
        "NotFound",
        "NotFoundException",
        "NoSuchBucket",
        "ResourceNotFoundException",
        "PermanentRedirect",
        "EndpointDisabled",
        "EndpointDisabledException",
        "404",
    }
)
CONTENT: Final = frozenset(
    {
        "ValidationException",
        "ValidationError",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "InvalidParameter",
        "InvalidParameterException",
        "InvalidArgument",
        "MalformedDetail",
        "MessageTooLong",
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "EntityTooLarge",
        "RequestEntityTooLarge",
        "RequestEntityTooLargeException",
        "RequestTooLargeException",
        "SerializationException",
        "AWS.SimpleQueueService.UnsupportedOperation",
        "UnsupportedOperation",
        "KeyTooLongError",
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "BatchRequestTooLongException",
        "ParamValidationError",
        "413",
    }
)
CONDITION: Final = frozenset({"ConditionalCheckFailedException", "PreconditionFailed", "412"})
"""The state is another one than the call demands."""
CONFLICT: Final = frozenset({"TransactionConflictException", "ConditionalRequestConflict"})
"""Another call changes the same thing at this moment."""
PASSING_REASONS: Final = frozenset(
    {
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "TransactionInProgressException",
    }
)
"""Reasons of a cancelled transaction that say nothing about its content."""

LOG_IN: Final = "aws sso login, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
SET_THE_CLOCK: Final = (
    "set this machine's clock: AWS takes requests whose time is at most minutes away from its own"
)
SAY_THE_REGION: Final = "name it: --region of the command, AWS_REGION, or access= in the app"
CORRECT_THE_ENDPOINT: Final = (
    "write it like http://localhost:8000: in the app, in AWS_ENDPOINT_URL, or in the profile's endpoint_url"
)
CORRECT_THE_NAME: Final = "create it, or correct its name, AWS_REGION or access=; delivery goes on by itself"
PERMISSIONS: Final = {
    "send_message": "SendMessage",
    "send_message_batch": "SendMessage",
    "publish_batch": "Publish",
    "list_objects_v2": "ListBucket",
    "transact_write_items": "PutItem, UpdateItem, DeleteItem and ConditionCheckItem",
}
"""Operations whose permission is not their own name."""
SERVICES: Final = {"dynamodbstreams": "dynamodb"}
"""Services whose permissions have another one's name."""


class Meaning(Enum):
    """What an error is about. Shape: the value says it in words."""

    THROTTLED = "it wants fewer calls"
    UNAVAILABLE = "it is away"
    CREDENTIALS = "it does not know us"
    DENIED = "we may not"
    SKEW = "the clocks differ"
    NOWHERE = "what we name is not there"
    CONDITION = "the state is another one"
    CONFLICT = "another client changes the same at this moment"
    REFUSED = "it will never take this"
    UNKNOWN = "a code that this table does not have"


OUTAGES: Final = frozenset(
    (Meaning.UNAVAILABLE, Meaning.CREDENTIALS, Meaning.DENIED, Meaning.SKEW, Meaning.NOWHERE)
)


class ErrorMeaning(Struct, frozen=True):
    """What a code means. Shape: `hint` says what an operator may do about it."""

    meaning: Meaning
    hint: str | None = None

    @property
    def kind(self) -> FailureKind:
        """What it is to the record that was sent."""
        if self.meaning in OUTAGES:
            return FailureKind.UNAVAILABLE
        passes = self.meaning in (Meaning.THROTTLED, Meaning.CONFLICT)
        return FailureKind.THROTTLED if passes else FailureKind.RECORD

    @property
    def is_final(self) -> bool:
        """Whether the same will be refused whenever it comes."""
        return self.meaning is Meaning.REFUSED


def verdict(
    code: str, words: str = "", *, status: int = 0, service: str = "", operation: str = ""
) -> ErrorMeaning:
    """What AWS's code, or botocore's exception of that name, says about a call. Shape: `operation` in
    Python's spelling.

    >>> verdict("AccessDenied", service="sqs", operation="send_message_batch").hint
    'allow the action sqs:SendMessage to whom `aws sts get-caller-identity` names'
    """
    if code in THROTTLING:
        return ErrorMeaning(Meaning.THROTTLED)
    if code in SKEW or any(text in words for text in SKEW_WORDS):
        return ErrorMeaning(Meaning.SKEW, SET_THE_CLOCK)
    if code in CREDENTIALS or status == 401:
        return ErrorMeaning(Meaning.CREDENTIALS, LOG_IN)
    if code in DENIED or status == 403:
        return ErrorMeaning(Meaning.DENIED, _allow(service, operation))
    if code == "NoRegionError":
        return ErrorMeaning(Meaning.NOWHERE, SAY_THE_REGION)
    if code in NOWHERE:
        return ErrorMeaning(Meaning.NOWHERE, CORRECT_THE_NAME)
    if code in CONDITION:
        return ErrorMeaning(Meaning.CONDITION)
    if code in CONFLICT:
        return ErrorMeaning(Meaning.CONFLICT)
    if code in AWAY or status >= 500:
        return ErrorMeaning(Meaning.UNAVAILABLE)
    if status == 429:
        return ErrorMeaning(Meaning.THROTTLED)
    return ErrorMeaning(Meaning.REFUSED if code in CONTENT else Meaning.UNKNOWN)


def verdict_here(exception_name: str, *, service: str = "", operation: str = "") -> ErrorMeaning:
    """What an exception of botocore's says of a call without an answer: the call is wrong, the caller is
    unknown, or the service is not there.
    """
    judged = verdict(exception_name, service=service, operation=operation)
    # What the table does not have is no connection, a time-out or a broken answer.
    return ErrorMeaning(Meaning.UNAVAILABLE) if judged.meaning is Meaning.UNKNOWN else judged


def _allow(service: str, operation: str) -> str | None:
    if not operation:
        return "allow what the words name to whom `aws sts get-caller-identity` names"
    action = PERMISSIONS.get(operation, operation.title().replace("_", ""))
    service = SERVICES.get(service, service)
    return f"allow the action {service}:{action} to whom `aws sts get-caller-identity` names"


class AwsError(PortError):
    """A call of AWS did not succeed.

    Shape:   `code` is AWS's or botocore's name, "" for what no table names (a connection); `members` are the
             other members of the answer, such as CancellationReasons; `status` 0 when there was no answer.
    Units:   retry_after_ms, the least time to wait, where the service says so.
    """

    def __init__(
        self,
        call: str,
        verdict: ErrorMeaning,
        code: str,
        words: str,
        *,
        status: int = 0,
        retry_after_ms: int = 0,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            ": ".join(part for part in (call, code, words) if part),
            hint=verdict.hint,
            retry_after_ms=retry_after_ms,
        )
        self.verdict = verdict
        self.code = code
        self.words = words
        self.status = status
        self.members = members or {}

    def of(self, call: str) -> "AwsError":
        """The same of another call: of one that it keeps from being made."""
        return AwsError(
            call,
            self.verdict,
            self.code,
            self.words,
            status=self.status,
            retry_after_ms=self.retry_after_ms,
            members=self.members,
        )

    @property
    def text(self) -> str:
        """The call, the code and the words, without the hint."""
        return str(self.args[0])


def read_answer(response: Mapping[str, Any]) -> tuple[str, str, int, dict[str, Any]]:
    """Code, words, status and other members of a refusal, as botocore's ClientError has it."""
    error = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    members = {name: value for name, value in response.items() if name not in ("Error", "ResponseMetadata")}
    return str(error.get("Code", "")), str(error.get("Message", "")), status, members


def is_condition(error: BaseException) -> bool:
    """Whether an error, or its cause, says that the state is not the one that the call demands."""
    cause = error if isinstance(error, AwsError) else error.__cause__
    return isinstance(cause, AwsError) and cause.verdict.meaning is Meaning.CONDITION


def is_kept_from_us(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that we may not, or that it is not there."""
    cause = error if isinstance(error, AwsError) else error.__cause__
    return isinstance(cause, AwsError) and cause.verdict.meaning in (Meaning.DENIED, Meaning.NOWHERE)


def sink_error(error: AwsError) -> SinkError:
    """The same as a sink says it: Throttled, Unavailable, Refused, or a SinkError that uses up an attempt."""
    retry_after = error.retry_after_ms / 1_000
    match error.verdict.kind:
        case FailureKind.THROTTLED:
            return Throttled(error.text, retry_after=retry_after)
        case FailureKind.UNAVAILABLE:
            return Unavailable(error.text, hint=error.hint, retry_after=retry_after)
    return Refused(error.text) if error.verdict.is_final else SinkError(error.text)


def store_error(error: AwsError, place: str) -> StoreError:
    """The same as a store says it. Shape: `place` is the table."""
    text = ": ".join(part for part in (error.code, error.words) if part)
    return StoreError(f"{place}: {text}", hint=error.hint, retry_after_ms=error.retry_after_ms)


def api_error(error: AwsError) -> ApiError | SinkError:
    """The same as a handler's client says it: a refusal in AWS's words, or an outage."""
    match error.verdict.meaning:
        case Meaning.CONDITION | Meaning.CONFLICT | Meaning.REFUSED | Meaning.UNKNOWN:
            members = {name: value for name, value in error.members.items() if name not in NOT_EXTRA}
            return ApiError(error.code, error.words, status=error.status or 400, extra=members)
    return sink_error(error)


NOT_EXTRA: Final = frozenset(("__type", "code", "message", "Message"))
"""Members of an answer that an ApiError has by itself."""
