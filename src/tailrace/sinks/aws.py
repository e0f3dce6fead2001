"""AWS clients for sinks: real boto3, made when it is first needed, called in a thread, errors as ours.

Rules of this file: it never retries (the machine does), waits 5 s for a connection and 20 s for an answer; throttling and a service
that is not there are an outage, everything else is the call's own fault. Needs the extra `aws`. Used by
destinations.py, event_bridge.py and dynamodb_table.py.
"""

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from tailrace.errors import SettingsError, SinkError, Throttled, Unavailable
from tailrace.runtime.threads import in_thread

THROTTLING: Final = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "TooManyRequestsException",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown", "KmsThrottled",
        "OverLimit", "AWS.SimpleQueueService.OverLimit",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Where and as whom. Shape: None is what boto3 finds in the environment."""

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """One call of an operation by its Python name, as `send_message`.

        Raises:  Throttled, Unavailable, SinkError with AWS's code and words; SettingsError without boto3 or credentials.
        """
        return await in_thread(copy_context().run, self.call_here, service, operation, parameters)

    def call_here(self, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        """The same, in this thread."""
        method: Callable[..., Any] = getattr(client(service, self), operation)
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

        try:
            return method(**parameters)
        except ClientError as error:
            raise refusal(service, operation, error.response) from error
        except (NoCredentialsError, NoRegionError) as error:
            raise SettingsError(
                f"{service}.{operation}: {error}", hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_REGION"
            ) from error
        except BotoCoreError as error:  # no connection, a time-out, a broken answer: the service is not there
            raise Unavailable(f"{service}.{operation}: {error}") from error


EVERYWHERE: Final = AwsAccess()
"""Whatever boto3 finds in the environment."""


def refusal(service: str, operation: str, response: Any) -> Exception:
    """AWS's answer as one of our errors."""
    found = response.get("Error", {})
    code, words = str(found.get("Code", "")), str(found.get("Message", ""))
    text = f"{service}.{operation}: {code}: {words}"
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLING:
        return Throttled(text)
    if status >= 500:
        return Unavailable(text)
    return SinkError(text)


@lru_cache(maxsize=64)
def client(service: str, access: AwsAccess) -> Any:
    """A boto3 client; they are safe to share between threads. Raises: SettingsError when the extra is missing."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise SettingsError(f"{service} needs the extra `aws`", hint="pip install 'tailrace[aws]'") from error
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=20)
    session = boto3.Session(profile_name=access.profile, region_name=access.region)
    return session.client(service, endpoint_url=access.endpoint_url, config=config)
