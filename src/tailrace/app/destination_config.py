"""DestinationConfig of an event source mapping: the ARN that is told of the records a function gave up.

Rules of this file: it judges the words only; what delivers to the ARN is chosen by
sinks/making.py (sinks/destinations.py). Called by declaring.py.
Source: semantics §2.1 (what an on-failure destination may be), AWS Lambda API Reference, DestinationConfig.
"""

import re
from typing import Any, Final

from tailrace.errors import SettingsError

LONGEST: Final = 350
ARN: Final = re.compile(r"arn:[a-z-]+:(sqs|sns|s3):[^:]*:[^:]*:\S+").fullmatch
FORM: Final = "{'OnFailure': {'Destination': ARN}}"


def destination_arn(given: Any) -> str | None:
    """The ARN that is told; None: there is none.

    Shape:   `OnSuccess` is taken and ignored, as AWS does for streams.
    Raises:  SettingsError for what Lambda refuses: FIFO queues and topics, other services, over 350 letters.

    >>> destination_arn({"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:late"}})
    'arn:aws:sqs:us-east-1:000000000000:late'
    >>> destination_arn({"OnFailure": {}}) is None
    True
    """
    match given:
        case None:
            return None
        case dict() if given.keys() <= {"OnFailure", "OnSuccess"}:
            failure = given.get("OnFailure", {})
        case _:
            raise SettingsError(f"DestinationConfig: {given!r} is not allowed; it is {FORM}")
    match failure:
        case {"Destination": str(arn), **rest} if not rest:
            check_arn("DestinationConfig", arn)
            return arn
        case dict() if not failure:
            return None
        case _:
            raise SettingsError(f"DestinationConfig: {given!r} is not allowed; it is {FORM}")


def check_arn(name: str, arn: str) -> None:
    """Require a destination that Lambda takes. Raises: SettingsError."""
    if len(arn) > LONGEST or not ARN(arn):
        raise SettingsError(
            f"{name}: {arn!r} is not allowed; it is the ARN of an SQS queue, an SNS topic or an S3 bucket, "
            f"of at most {LONGEST} letters"
        )
    if arn.endswith(".fifo"):
        raise SettingsError(
            f"{name}: {arn!r} is not allowed; a FIFO queue or topic is no on-failure destination on "
            "AWS either"
        )
