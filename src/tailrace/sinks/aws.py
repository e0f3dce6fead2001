"""AWS as sinks call it: where, as whom, a request kept instead of sent, and errors in a sink's words.

Rules of this file: it never retries (the machine does). The call itself is aws/client.py's, what an answer
means is read in aws/errors.py. Needs the extra `aws`. Used by destinations.py, event_bridge.py and
dynamodb_table.py.
"""

from dataclasses import dataclass
from typing import Any, Final

from tailrace.aws import client
from tailrace.aws.errors import AwsError, sink_error
from tailrace.aws.places import Access
from tailrace.sinks.intercepting import KEEPER, ServiceCall, missing_extra


@dataclass(frozen=True, slots=True)
class AwsAccess(Access):
    """Where and as whom. Shape: None is what botocore finds in the environment."""

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """One call of an operation by its Python name, as `send_message`.

        Raises:  Throttled, Unavailable, Refused, SinkError with AWS's code and words.
        """
        if (keep := KEEPER.get()) is not None:
            return keep(ServiceCall(service, operation, parameters))
        try:
            return await client.call(self, service, operation, parameters)
        except ImportError as error:
            raise missing_extra(service, "aws") from error
        except AwsError as error:
            raise sink_error(error) from error


EVERYWHERE: Final = AwsAccess()
"""Whatever botocore finds in the environment."""
