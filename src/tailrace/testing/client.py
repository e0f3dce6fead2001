"""boto3 clients that speak to an engine in this process: real requests and answers, no sockets.

Rules of this file: botocore builds, signs and parses as always; only the sending is ours, and nothing is
retried: an answer is what the engine said. boto3 is imported when a client is made. Called by world.py.
Stands alone because boto3 is needed for it alone.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from tailrace.errors import SettingsError
from tailrace.server.inprocess import InProcess
from tailrace.streams.arns import REGION

Service: TypeAlias = Literal["dynamodb", "dynamodbstreams", "kinesis"]
SERVICES: Final = ("dynamodb", "dynamodbstreams", "kinesis")
NOWHERE: Final = "http://tailrace.invalid"
"""Names under .invalid never exist (RFC 6761): a request that escaped would fail at once."""


class _Body:
    """An answer's bytes as botocore reads them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """The whole body in one piece."""
        yield self._data


@cache
def _session() -> Any:
    """One session for all clients: it reads the service models once, which takes longer than a whole test."""
    from boto3.session import Session

    return Session()


def client(
    server: InProcess | Callable[[], InProcess], service: str, region: str = REGION, account: str = ""
) -> Any:
    """A boto3 client of an engine, or of the one that there is when it is called.

    Raises:  SettingsError for another service, or without boto3.
    """
    if service not in SERVICES:
        raise SettingsError(f"client: {service!r} is not allowed; it is one of {', '.join(SERVICES)}")
    try:
        _session()
        from botocore.awsrequest import AWSResponse
        from botocore.config import Config
    except ImportError as error:
        raise SettingsError(
            "world.client needs boto3", hint="pip install '.[aws]' in the checkout"
        ) from error
    made = _session().client(
        service,
        region_name=region,
        endpoint_url=NOWHERE,
        aws_access_key_id=account or "test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: Any, **_: object) -> Any:
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        door = server if isinstance(server, InProcess) else server()
        answer = door.call(dict(request.headers.items()), body)
        return AWSResponse(request.url, answer.status, answer.headers, _Body(answer.body))

    made.meta.events.register(f"before-send.{service}", send)
    return made
