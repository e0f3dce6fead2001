"""The socket to a search cluster: one request, signed or with a password, and the answer as it came.

Rules of this file: it never retries and reads no meaning into an answer (answers.py does). A connection is
that of the loop it was made on; no answer, or none in time, is Unavailable, because whatever was asked may be
asked again. Needs the extra `search`.
"""

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from tailrace.aws.errors import AwsError, sink_error
from tailrace.aws.places import Access
from tailrace.aws.signed_requests import RequestSigner
from tailrace.errors import SettingsError, Unavailable
from tailrace.runtime.masking import learn
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.search.requests import JSON

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import ClientSession

CONNECT_S: Final = 5.0
SERVICE: Final = "es"
"""What signatures of OpenSearch domains are for."""


class SearchAnswer(Struct, frozen=True):
    """What came back. Shape: `retry_after` is the header, empty without one."""

    status: int
    retry_after: str
    body: bytes


class SearchTransport(Protocol):
    """How a cluster is asked."""

    @property
    def place(self) -> str:
        """The cluster's address, for words."""

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> SearchAnswer:
        """One request. Raises: Unavailable."""

    async def close(self) -> None:
        """Give the connections back. Repeatable."""


class Login(Struct, frozen=True):
    """Who asks. Shape: at most one of them; `basic` name and password."""

    basic: tuple[str, str] | None = None
    api_key: str | None = None
    access: Access | None = None


class SearchClient:
    """Requests to one address, over connections that are kept. Units: timeout_s for one request."""

    def __init__(self, url: str, login: Login, ca: str | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        self.place = url
        self._prefix = parts.path.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._ca = ca
        self._timeout_s = timeout_s
        self._headers: dict[str, str] = {}
        self._signer: RequestSigner | None = None
        if login.basic is not None:
            learn(login.basic[1])
            pair = b64encode(":".join(login.basic).encode()).decode()
            self._headers["authorization"] = f"Basic {pair}"
        elif login.api_key is not None:
            learn(login.api_key)
            self._headers["authorization"] = f"ApiKey {login.api_key}"
        elif login.access is not None:
            try:
                self._signer = RequestSigner(login.access, SERVICE, parts.netloc)
            except AwsError as error:
                raise sink_error(error) from error
        self._session: tuple[asyncio.AbstractEventLoop, ClientSession] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> SearchAnswer:
        """One request. Shape: `path` as it stands on the wire, with its query. Raises: Unavailable."""
        from aiohttp import ClientError
        from yarl import URL

        session = self._opened()
        headers = {"content-type": kind, **self._headers} if body else dict(self._headers)
        if self._signer is not None:
            try:
                headers = await self._signer.headers(method, self._prefix + path, headers, body)
            except AwsError as error:
                raise sink_error(error) from error
        url = URL(f"{self._origin}{self._prefix}{path}", encoded=True)
        try:
            async with session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                return SearchAnswer(answer.status, answer.headers.get("retry-after", ""), content)
        except TimeoutError as error:
            raise Unavailable(f"{self.place} did not answer within {self._timeout_s:g} s") from error
        except (ClientError, OSError) as error:
            raise Unavailable(f"{self.place}: {type(error).__name__}: {error}") from error

    def _opened(self) -> "ClientSession":
        loop = asyncio.get_running_loop()
        if self._session is None or self._session[0] is not loop:
            try:
                from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
            except ImportError as error:
                raise missing_extra("sinks.OpenSearch", "search") from error
            timeout = ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_S)
            connector = TCPConnector(ssl=_trust(self._ca) if self._ca else True)
            self._session = (
                loop,
                ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()),
            )
        return self._session[1]

    async def close(self) -> None:
        """End its connections. Repeatable."""
        if self._session is not None:
            (_, session), self._session = self._session, None
            await session.close()


def _trust(ca: str) -> "SSLContext":
    from ssl import SSLError, create_default_context

    try:
        return create_default_context(cafile=ca)
    except (OSError, SSLError) as error:
        raise SettingsError(f"ca: {ca} holds no certificates: {error}") from error
