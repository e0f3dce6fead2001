"""What AWS's error codes say: the one table of all that calls AWS (sinks, on-failure destinations, state in DynamoDB).

Theory of operation. A call fails for the other side's sake (it wants fewer calls, or it is away), for the caller's (who we are, what we may, what time it
is, what we name), or for what was sent. Only the last says anything about a record; the others pass when somebody does something, so they
are an outage with a hint what to do. What was sent and is refused by its content will be refused again.
Rules of this file: data and one decision; no client, no clock. Sources: API references of SQS, SNS, EventBridge, S3, DynamoDB, STS ("Common error
types"); botocore's names of exceptions.
"""

from dataclasses import dataclass
from typing import Final

from tailrace.mapping.outcomes import FailureKind

THROTTLING: Final = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "Throttled", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown", "KmsThrottled",
        "KMSThrottlingException", "KMSThrottling", "OverLimit", "AWS.SimpleQueueService.OverLimit", "LimitExceededException",
        "BandwidthLimitExceeded", "PriorRequestNotComplete", "TransactionInProgressException", "EC2ThrottledException",
    }
)  # fmt: skip
AWAY: Final = frozenset(
    {
        "InternalFailure", "InternalException", "InternalError", "InternalServerError", "InternalServiceError", "ServiceUnavailable",
        "ServiceUnavailableException", "Unavailable", "RequestTimeout", "RequestTimeoutException", "RequestAbortedException",
        "503 Service Unavailable", "OperationAborted", "ReplicatedWriteConflictException",
    }
)  # fmt: skip
CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidClientTokenId", "InvalidAccessKeyId",
        "UnrecognizedClientException", "UnrecognizedClient", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
        "IncompleteSignature", "IncompleteSignatureException", "SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSignature",
        "AuthFailure", "InvalidSecurity", "UnauthorizedException", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "SSOError", "PendingAuthorizationExpiredError",
        "LoginAuthorizationCodeError", "UnknownCredentialError", "NoAuthTokenError", "LoginError", "LoginRefreshRequired", "LoginTokenLoadError", "LoginInsufficientPermissions", "ProfileNotFound", "RefreshWithMFAUnsupportedError",
        "MetadataRetrievalError", "InfiniteLoopConfigError", "InvalidConfigError", "ConfigNotFound", "ConfigParseError",
    }
)  # fmt: skip
"""AWS's codes, and the names of botocore's exceptions for credentials that it could not find or renew."""
DENIED: Final = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "UnauthorizedOperation",
        "NotAuthorized", "NotAuthorizedException", "AllAccessDisabled", "AccountProblem", "OptInRequired", "SubscriptionRequiredException",
        "KmsAccessDenied", "KMSAccessDenied", "KMSAccessDeniedException", "KmsOptInRequired", "KMSOptInRequired",
        "KmsDisabled", "KMSDisabled", "KMSDisabledException", "KmsInvalidState", "KMSInvalidState", "KMSInvalidStateException",
        "KmsNotFound", "KMSNotFound", "KMSNotFoundException", "Forbidden", "403",
    }
)  # fmt: skip
SKEW: Final = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired", "NotYetValid"})
SKEW_WORDS: Final = ("Signature expired", "Signature not yet current", "time too skewed")
"""How services without a code of their own say in a signature's error that the clocks differ."""
NOWHERE: Final = frozenset(
    {
        "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently",
        "InvalidAddress", "NotFound", "NotFoundException", "NoSuchBucket", "ResourceNotFoundException", "PermanentRedirect", "NoRegionError",
        "EndpointDisabled", "EndpointDisabledException", "404",
    }
)  # fmt: skip
CONTENT: Final = frozenset(
    {
        "ValidationException", "ValidationError", "InvalidMessageContents", "InvalidParameterValue", "InvalidParameterValueException",
        "InvalidParameter", "InvalidParameterException", "InvalidArgument", "MalformedDetail", "MessageTooLong", "InvalidAttributeName",
        "InvalidAttributeValue", "EntityTooLarge", "RequestEntityTooLarge", "RequestEntityTooLargeException", "SerializationException",
        "AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation", "KeyTooLongError",
        "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLongException", "ParamValidationError", "413",
    }
)  # fmt: skip
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
CORRECT_THE_NAME: Final = "create it, or correct its name, AWS_REGION or access=; delivery goes on by itself"
PERMISSIONS: Final = {
    "send_message": "SendMessage", "send_message_batch": "SendMessage", "publish_batch": "Publish",
    "list_objects_v2": "ListBucket", "transact_write_items": "PutItem, UpdateItem, DeleteItem and ConditionCheckItem",
}  # fmt: skip
"""Operations whose permission is not their own name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a code means. Shape: `final` is said of a refusal that repeats for ever; `hint` is what somebody may do about it."""

    kind: FailureKind
    final: bool = False
    hint: str | None = None

    @property
    def is_of_credentials(self) -> bool:
        """Whether it is about who we are: whoever keeps credentials looks for them anew."""
        return self.hint == LOG_IN


def verdict(
    code: str, words: str = "", *, status: int = 0, service: str = "", operation: str = ""
) -> Verdict:
    """What AWS's code, or botocore's exception of that name, says about a call. Shape: `operation` in Python's spelling.

    >>> verdict("AccessDenied", service="sqs", operation="send_message_batch").hint
    'allow the action sqs:SendMessage to whom `aws sts get-caller-identity` names'
    """
    if code in THROTTLING:
        return Verdict(FailureKind.THROTTLED)
    if code in SKEW or any(text in words for text in SKEW_WORDS):
        return Verdict(FailureKind.UNAVAILABLE, hint=SET_THE_CLOCK)
    if code in CREDENTIALS or status == 401:
        return Verdict(FailureKind.UNAVAILABLE, hint=LOG_IN)
    if code in DENIED or status == 403:
        return Verdict(FailureKind.UNAVAILABLE, hint=_allow(service, operation))
    if code in NOWHERE:
        return Verdict(FailureKind.UNAVAILABLE, hint=CORRECT_THE_NAME)
    if code in AWAY or status >= 500:
        return Verdict(FailureKind.UNAVAILABLE)
    if status == 429:
        return Verdict(FailureKind.THROTTLED)
    return Verdict(FailureKind.RECORD, final=code in CONTENT)


def _allow(service: str, operation: str) -> str | None:
    if not operation:
        return "allow what the words name to whom `aws sts get-caller-identity` names"
    action = PERMISSIONS.get(operation, operation.title().replace("_", ""))
    return f"allow the action {service}:{action} to whom `aws sts get-caller-identity` names"
