"""AWS clients for sinks: real boto3, made when it is first needed, called in a thread, errors as ours.

Rules of this file: it never retries (the machine does), waits 5 s for a connection and 20 s for an answer; what an answer means is read in
aws/errors.py. After an error of credentials they are looked for anew, so that a log-in is noticed without a restart. Needs the
extra `aws`. Used by destinations.py, event_bridge.py and dynamodb_table.py.
"""

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from tailrace.aws.errors import AwsError, Meaning, Verdict, sink_error, verdict, verdict_here
from tailrace.errors import SinkError
from tailrace.runtime.threads import in_thread
from tailrace.sinks.sending import KEEPER, Request, missing_extra


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Where and as whom. Shape: None is what boto3 finds in the environment."""

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """One call of an operation by its Python name, as `send_message`.

        Raises:  Throttled, Unavailable, Refused, SinkError with AWS's code and words.
        """
        if (keep := KEEPER.get()) is not None:
            return keep(Request(service, operation, parameters))
        return await in_thread(copy_context().run, self.call_here, service, operation, parameters)

    def call_here(self, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        """The same, in this thread."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise missing_extra(service, "aws") from error
        try:
            method: Callable[..., Any] = getattr(client(service, self), operation)
            return method(**parameters)
        except ClientError as error:
            raise refusal(service, operation, error.response) from error
        except BotoCoreError as error:
            raise failure_here(service, operation, error) from error


EVERYWHERE: Final = AwsAccess()
"""Whatever boto3 finds in the environment."""


def refusal(service: str, operation: str, response: Any) -> SinkError:
    """AWS's answer as one of our errors."""
    answer = response.get("Error", {})
    code, words = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = verdict(code, words, status=status, service=service, operation=operation)
    return _error(f"{service}.{operation}", said, code, words)


def failure_here(service: str, operation: str, error: Exception) -> SinkError:
    """What botocore could not send, as one of our errors."""
    said = verdict_here(type(error).__name__, service=service, operation=operation)
    return _error(f"{service}.{operation}", said, "", str(error))


def _error(call: str, said: Verdict, code: str, words: str) -> SinkError:
    if said.meaning is Meaning.CREDENTIALS:
        client.cache_clear()
    return sink_error(AwsError(call, said, code, words))


@lru_cache(maxsize=64)
def client(service: str, access: AwsAccess) -> Any:
    """A boto3 client; they are safe to share between threads. Raises: Unavailable when the extra is missing."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise missing_extra(service, "aws") from error
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=20)
    session = boto3.Session(profile_name=access.profile, region_name=access.region)
    return session.client(service, endpoint_url=access.endpoint_url, config=config)
