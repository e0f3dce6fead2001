"""One signed, asynchronous client for AWS's services and whatever speaks their protocols.

Theory of operation: a call is written by its protocol, signed, sent over a connection of the loop's pool, and
its answer read; nothing of botocore is asked once a service is known. Each event loop has a client of its
own, which ends with the loop. A call from a thread, or from a loop without sockets (the test world's), is
made on a loop in a thread of this process.
Rules of this file: it never retries; the machine does. A request is sent a second time only where the first
was refused unread for its signature: by a clock that is wrong, or because the bucket is in another region;
once. A signature tells the machine's own time, whatever clock an engine has, corrected by what services told
us. Errors are AwsError, or what a test world's walls say. Called by sinks/, stores/ and aws/tables.py.
Decision 39.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from tailrace.aws.errors import AwsError, ErrorMeaning, Meaning
from tailrace.aws.operations import OperationModel
from tailrace.aws.places import KNOWN, Access, Endpoint, Keyring, off_the_loop
from tailrace.aws.protocols import Wire, error_of, members_of, wire_of
from tailrace.aws.signing import Credentials, payload_hash_of, signed_headers
from tailrace.runtime.beside import waited_for
from tailrace.runtime.causing import CAUSE, HEADER, NO_REQUEST
from tailrace.streams.ancestry import trace_id

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

T = TypeVar("T")
CONNECT_S: Final = 5.0
READ_S: Final = 20.0
TOTAL_S: Final = 60.0
"""For a connection, for the next bytes, for a whole call. As boto3 was asked before; the last, because a
server may send a byte a minute.
"""
CONNECTIONS: Final = 128
"""Connections of one loop, to one host and to all; a call waits for one. Lambda and DynamoDB take thousands;
files of a process are 1,024 by default.
"""
IDLE_S: Final = 15.0
"""How long an unused connection is kept: shorter than AWS keeps it, so that no call meets its end."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest answer. DynamoDB's and Kinesis's are at most 16 MB of data; JSON adds a third for binaries."""
LARGE_BODY: Final = 1024 * 1024
"""From here aiohttp wants a file: bytes are written at once."""
SKEW_S: Final = 60.0
"""A signature refused with clocks this far apart is refused for its time; AWS allows 5 minutes, S3 15."""
NO_BODY: Final = frozenset(("GET", "HEAD", "DELETE"))
AUTOMATIC: Final = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
AGENT: Final = "tailrace"


PlaceKey: TypeAlias = tuple[str, str | None, str | None, str | None, str]
"""Service, region, endpoint, profile, bucket."""


class HttpResponse(NamedTuple):
    """What came back, whole. Shape: `headers` are found by names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str


def about_to_send(url: str, call: str) -> None:
    """Called before credentials are asked or anything is sent; where a mock may answer, after it was asked. A
    test world lays its walls over this.
    """


class AwsClient:
    """The calls of one event loop. Units: `now` seconds since 1970."""

    def __init__(self, *, now: Callable[[], float] = time.time, most_bytes: int = MOST_BYTES) -> None:
        self._now = now
        self._most_bytes = most_bytes
        self._session: ClientSession | None = None
        self._timeout: ClientTimeout | None = None
        self._places: dict[PlaceKey, Endpoint] = {}
        self._keyrings: dict[str | None, Keyring] = {}
        self._finding: dict[PlaceKey, asyncio.Task[Endpoint]] = {}
        self._skews: dict[str, float] = {}
        self._stamp = (0, "")
        self._is_closed = False

    async def call(
        self,
        access: Access,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One call, by names as boto3 has them ("sqs", "send_message"). Returns: the members of the answer.

        Raises:  AwsError; ImportError without the extra `aws`.
        """
        model, answer = await self._asked(access, service, operation, parameters, timeout_s, headers)
        return members_of(model, answer.status, answer.headers, answer.body)

    async def answer_of(
        self,
        access: Access,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """One call with further headers. Returns: the members and the headers of the answer. Raises: as
        `call`.
        """
        model, answer = await self._asked(access, service, operation, parameters, None, headers)
        return members_of(model, answer.status, answer.headers, answer.body), answer.headers

    async def date_of(
        self, access: Access, service: str, operation: str, parameters: Mapping[str, Any]
    ) -> int:
        """When a service answered a call, by its own clock; by this machine's where it does not say.
        Units: ms since the epoch, to the second. Raises: AwsError.
        """
        _, answer = await self._asked(access, service, operation, parameters, None, None)
        try:
            return round(parsedate_to_datetime(answer.headers["date"]).timestamp() * 1_000)
        except (KeyError, ValueError):
            return int(self._now()) * 1_000

    async def _asked(
        self,
        access: Access,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        timeout_s: float | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[OperationModel, HttpResponse]:
        """An operation and the answer that says yes. Raises: AwsError."""
        bucket = str(parameters.get("Bucket", "")) if service == "s3" else ""
        key = (service, access.region, access.endpoint_url, access.profile, bucket)
        try:
            place = self._places.get(key) or await self._find(key, service, access, bucket)
        except AwsError as nowhere:
            raise nowhere.of(f"{service}.{operation}") from nowhere
        model = place.operation(operation)
        if bucket:
            parameters = {name: value for name, value in parameters.items() if name != "Bucket"}
        wire = wire_of(model, parameters)
        if place.stand_ins is None:
            about_to_send(place.url, f"{service}.{model.name}")
        for is_last in (False, True):
            answer = await self._exchange(access, place, model, wire, timeout_s, headers)
            if answer.status < 300:
                return model, answer
            error = error_of(model, answer.status, answer.headers, answer.body, answer.reason)
            if error.verdict.meaning is Meaning.CREDENTIALS:
                self._forget(access.profile)
            region = answer.headers.get("x-amz-bucket-region")
            if bucket and region and region != place.scope.region and not is_last:
                place = await self._find(key, service, access, bucket, region)
            elif is_last or not self._corrects_clock(place, error, answer):
                raise error
        raise AssertionError("the second answer is returned or raised")

    async def _find(
        self, key: PlaceKey, service: str, access: Access, bucket: str, region: str | None = None
    ) -> Endpoint:
        """Look a place up, once for all who wait for it. Raises: AwsError."""
        task = self._finding.get(key)
        if task is None:
            looking = off_the_loop(KNOWN.place, service, access, bucket, region)
            task = self._finding[key] = asyncio.get_running_loop().create_task(looking)
            task.add_done_callback(lambda _: self._finding.pop(key, None))
        place = self._places[key] = await asyncio.shield(task)
        return place

    async def close(self) -> None:
        """End its connections; a call that waits for an answer fails. Repeatable."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _exchange(
        self,
        access: Access,
        place: Endpoint,
        model: OperationModel,
        wire: Wire,
        timeout_s: float | None,
        beside: Mapping[str, str] | None,
    ) -> HttpResponse:
        """Sign, send and read. Raises: AwsError."""
        keyring = self._keyrings.get(access.profile)
        if keyring is None:
            keyring = Keyring(lambda: KNOWN.credentials(access.profile), asyncio.get_running_loop().time)
            self._keyrings[access.profile] = keyring
        held = keyring.get()
        try:
            credentials = held if isinstance(held, Credentials) else await held
        except AwsError as error:
            self._forget(access.profile)
            about_to_send(
                place.url, f"{model.service}.{model.name}"
            )  # who we are is not why a call is refused there
            raise error.of(model.call) from error
        headers = {"host": place.host, "user-agent": AGENT, **wire.headers, **(beside or {})}
        if model.service == "dynamodb" and (cause := CAUSE.get()):
            headers[HEADER] = trace_id(cause, 0, NO_REQUEST)
        path = f"{place.prefix}{wire.path}" if wire.path != "/" or not place.prefix else place.prefix
        signed = signed_headers(
            credentials,
            place.scope,
            self._time_of(place.host),
            wire.method,
            path,
            wire.query,
            headers,
            payload_hash_of(wire.body),
        )
        url = f"{place.url}{path}"
        if wire.query:
            url += "?" + "&".join(f"{name}={value}" if value else name for name, value in wire.query)
        if place.stand_ins is not None:
            stand_in = _stood_in(place, model, wire, url, signed)
            if stand_in is not None:
                return stand_in
            about_to_send(place.url, f"{model.service}.{model.name}")
        return await self._send(place, model, wire, url, signed, timeout_s)

    async def _send(
        self,
        place: Endpoint,
        model: OperationModel,
        wire: Wire,
        url: str,
        headers: Mapping[str, str],
        timeout_s: float | None,
    ) -> HttpResponse:
        from aiohttp import ClientError
        from yarl import URL

        session = self._session or self._open()
        body: Any = None if wire.method in NO_BODY and not wire.body else wire.body
        if len(wire.body) > LARGE_BODY:
            body = BytesIO(wire.body)
        try:
            async with session.request(
                wire.method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=place.proxy,
                ssl=place.trust or True,
                timeout=self._timeout if timeout_s is None else _timeout(timeout_s),
            ) as response:
                content = b"" if wire.method == "HEAD" else await self._read(response, model)
                return HttpResponse(response.status, response.headers, content, response.reason or "")
        except TimeoutError as error:
            words = f"{place.url} did not answer in time"
            raise AwsError(model.call, ErrorMeaning(Meaning.UNAVAILABLE), "", words) from error
        except (ClientError, OSError) as error:
            words = f"no answer of {place.url}: {type(error).__name__}: {error}"
            raise AwsError(model.call, ErrorMeaning(Meaning.UNAVAILABLE), "", words) from error

    async def _read(self, response: "ClientResponse", model: OperationModel) -> bytes:
        """A body, up to the bound. Raises: AwsError for a larger one; what is left of it is not read."""
        length = response.content_length
        if length is not None and length <= self._most_bytes:
            return await response.read()
        pieces: list[bytes] = []
        size = length or 0
        while size <= self._most_bytes:
            piece = await response.content.readany()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        words = f"the answer has more than {self._most_bytes:,} bytes"
        raise AwsError(model.call, ErrorMeaning(Meaning.UNAVAILABLE), "", words, status=response.status)

    def _open(self) -> "ClientSession":
        if self._is_closed:
            raise RuntimeError("this client has been closed")
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector

        connector = TCPConnector(limit=CONNECTIONS, keepalive_timeout=IDLE_S)
        self._timeout = _timeout(TOTAL_S, READ_S)
        session = self._session = ClientSession(
            connector=connector,
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=AUTOMATIC,
            cookie_jar=DummyCookieJar(),
        )
        session._retry_connection = (
            False  # it would send again whatever it holds for repeatable, a conditional PUT among it
        )
        return session

    def _forget(self, profile: str | None) -> None:
        """Look for credentials anew at the next call, also in files that have changed."""
        KNOWN.forget(profile)
        self._keyrings.pop(profile, None)
        for key in [key for key in self._places if key[3] == profile]:
            del self._places[key]

    # ---- time ----------------------------------------------------------------------------------------------

    def _time_of(self, host: str) -> str:
        """The time of a host, as a signature tells it."""
        seconds = int(self._now() + self._skews.get(host, 0.0))
        if self._stamp[0] != seconds:
            self._stamp = seconds, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        return self._stamp[1]

    def _corrects_clock(self, place: Endpoint, error: AwsError, answer: HttpResponse) -> bool:
        """Whether a signature was refused for its time, and now tells another one."""
        if error.verdict.meaning is not Meaning.SKEW or "date" not in answer.headers:
            return False
        try:
            skew = parsedate_to_datetime(answer.headers["date"]).timestamp() - self._now()
        except ValueError:
            return False
        if abs(skew - self._skews.get(place.host, 0.0)) < SKEW_S:
            return False
        self._skews[place.host] = skew
        return True


def _timeout(total_s: float, read_s: float | None = None) -> "ClientTimeout":
    from aiohttp import ClientTimeout

    return ClientTimeout(total=total_s, sock_connect=CONNECT_S, sock_read=read_s or total_s)


def _stood_in(
    place: Endpoint, model: OperationModel, wire: Wire, url: str, headers: Mapping[str, str]
) -> HttpResponse | None:
    """What a stand-in answers before anything is sent, as before botocore sends; None: there is none."""
    from botocore.awsrequest import AWSPreparedRequest, HeadersDict

    request = AWSPreparedRequest(wire.method, url, HeadersDict(headers), wire.body, False)
    service = place._model.service_id.hyphenize()
    for _, response in place.stand_ins.emit(f"before-send.{service}.{model.name}", request=request):
        if response is not None:
            lowered = {str(name).lower(): str(value) for name, value in response.headers.items()}
            return HttpResponse(response.status_code, lowered, response.content, "")
    return None


# ---- whose loop --------------------------------------------------------------------------------------------


_OF_LOOPS: Final[
    "WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AwsClient, AsyncGenerator[AwsClient]]]"
] = WeakKeyDictionary()


async def call(access: Access, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One call, on this loop or, where it has no sockets, beside it. Raises: AwsError, ImportError."""
    loop = asyncio.get_running_loop()
    known = _OF_LOOPS.get(loop)
    if known is None and not _has_sockets(loop):
        return call_here(access, service, operation, parameters)
    client = known[0] if known is not None else await _begin(loop)
    return await client.call(access, service, operation, parameters)


async def answer_of(
    access: Access, service: str, operation: str, parameters: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """One call with further headers, on a loop that has sockets. Returns: the members and the headers of the
    answer; names in whatever case. Raises: AwsError.
    """
    loop = asyncio.get_running_loop()
    client = _OF_LOOPS[loop][0] if loop in _OF_LOOPS else await _begin(loop)
    return await client.answer_of(access, service, operation, parameters, headers)


async def date_of(access: Access, service: str, operation: str, parameters: Mapping[str, Any]) -> int:
    """When a service answered a call, by its own clock. Units: ms since the epoch, to the second. Raises:
    AwsError.
    """
    loop = asyncio.get_running_loop()
    client = _OF_LOOPS[loop][0] if loop in _OF_LOOPS else await _begin(loop)
    return await client.date_of(access, service, operation, parameters)


def call_here(access: Access, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One call; this thread waits for it. Raises: as `call`."""
    return waited_for(call(access, service, operation, parameters))


async def _begin(loop: asyncio.AbstractEventLoop) -> AwsClient:
    """The client of a loop, closed with the loop's generators, as asyncio.run does before it closes it."""

    async def until_the_loop_ends() -> AsyncGenerator[AwsClient]:
        client = AwsClient()
        try:
            yield client
        finally:
            _OF_LOOPS.pop(loop, None)
            await client.close()

    lasting = until_the_loop_ends()
    client = await anext(lasting)
    _OF_LOOPS[loop] = client, lasting
    return client


def _has_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop can await connections: asyncio's bare one, the test world's, cannot."""
    real = (asyncio.SelectorEventLoop, getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop))
    return not isinstance(loop, asyncio.BaseEventLoop) or isinstance(loop, real)
