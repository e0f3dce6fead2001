"""The seam at which a test world takes what sinks would send: one call of a service, and who keeps it.

Theory of operation: a sink asks `KEEPER` before it sends. Where a keeper is set in its context, as the test
world does, the call goes there: nothing leaves, and the sink is answered as by a service that accepts
everything. What a sink with a transport of its own sends without asking is not kept: a socket of Python meets
the walls of the world (testing/sealing.py), and what a C library opens really leaves.
Rules of this file: it keeps nothing itself. Asked by aws.py and webhook.py, set by testing/keeping.py.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.errors import Unavailable


class ServiceCall(Struct, frozen=True):
    """One call. Shape: `service` and `operation` as boto3 names them ("sqs", "send_message_batch"), or
    "webhook" and "post", or "opensearch" and "index".
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]


Keep: TypeAlias = Callable[[ServiceCall], Any]
"""Takes a request and answers for the service."""
KEEPER: Final[ContextVar[Keep | None]] = ContextVar("tailrace_keeper", default=None)
"""Who keeps what the sinks of this context would send; None: it is sent."""


def missing_extra(what: str, extra: str) -> Unavailable:
    """What is raised where an extra is not installed: nothing is wrong with the changes, so they wait until
    it is.

    >>> print(missing_extra("sqs", "aws"))
    sqs needs the extra `aws`: pip install '.[aws]' in the checkout, and start again
    """
    return Unavailable(
        f"{what} needs the extra `{extra}`: pip install '.[{extra}]' in the checkout, and start again"
    )
