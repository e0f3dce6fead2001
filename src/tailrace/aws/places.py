"""Where a service is and who calls: what botocore finds in the environment, profiles, metadata services.

Theory of operation: a botocore client is made once for each service and access, off the loop, only to be
asked: its endpoint, its region, its model. For S3 it is asked once a bucket, by a request that is caught
before it is sent, because the bucket decides the host. Credentials are botocore's own objects, which renew
themselves when they are asked in time: `Keyring` asks once a minute, in a thread, once at a time, and calls
go on with those that they have.
Rules of this file: everything that blocks is called in a thread; nothing of botocore is asked for a call that
has been made before. Errors are AwsError, so that who we are and where we call is an outage with a hint.
Called by client.py.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.aws.errors import (
    CORRECT_THE_ENDPOINT,
    AwsError,
    ErrorMeaning,
    Meaning,
    read_answer,
    verdict,
    verdict_here,
)
from tailrace.aws.operations import OperationModel, compiled
from tailrace.aws.signing import Credentials, Scope
from tailrace.runtime.masking import learn
from tailrace.runtime.threads import Threads

if TYPE_CHECKING:
    from ssl import SSLContext

T = TypeVar("T")
CHECK_S: Final = 60.0
"""How often credentials that run out are looked at; botocore renews them from fifteen minutes before that."""
AGAIN_S: Final = 10.0
"""How soon after a renewal that failed."""
THREADS: Final = Threads("aws", 8)
"""For what botocore does: files, single sign-on, metadata services."""
NO_KEY: Final = "nobody"
"""Stands for credentials where only a place is asked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where and as whom. Shape: None is what botocore finds in the environment."""

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None


class Endpoint(Struct):
    """A service, or a bucket, as it is called.

    Shape:   `url` is scheme and host; `prefix` stands before every path, "" mostly; `trust` and `proxy` None
             where there is none; `stand_ins` are asked before anything is sent: a hook of botocore's by which
             mocks answer in its place, None where there is no mock.
    """

    service: str
    url: str
    prefix: str
    scope: Scope
    trust: "SSLContext | None"
    proxy: str | None
    stand_ins: Any
    bucket: str
    _model: Any
    _names: Any
    _operations: dict[str, OperationModel] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Name, and port where it is not that of the scheme."""
        return self.url.partition("://")[2]

    def operation(self, python_name: str) -> OperationModel:
        """An operation of the service, by its Python name. Raises: AwsError for one that it does not have."""
        operation = self._operations.get(python_name)
        if operation is None:
            name = self._names.get(python_name)
            if name is None:
                words = f"{self.service} has no operation {python_name!r}"
                raise AwsError(self.service, ErrorMeaning(Meaning.REFUSED), "", words)
            operation = compiled(self.service, python_name, self._model.operation_model(name))
            if self.bucket:
                operation = replace(operation, path=operation.path.removeprefix("/{Bucket}") or "/")
            self._operations[python_name] = operation
        return operation


async def off_the_loop(function: Callable[..., T], *arguments: Any) -> T:
    """Call what blocks in a thread of this package. Raises: what it raises."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, function, *arguments)


# ---- what botocore knows -----------------------------------------------------------------------------------


class SessionCache:
    """Sessions of botocore by profile, for the whole process; each is used by one thread at a time."""

    def __init__(self) -> None:
        self._sessions: dict[str | None, tuple[Any, threading.Lock]] = {}
        self._lock = threading.Lock()

    def forget(self, profile: str | None) -> None:
        """The next question begins anew: files are read again, a log-in is noticed."""
        with self._lock:
            self._sessions.pop(profile, None)

    def place(self, service: str, access: Access, bucket: str = "", region: str | None = None) -> Endpoint:
        """Where a service is. Raises: AwsError. Blocks."""
        from aiohttp import ClientSession  # noqa: F401 - what is missing is told before anything is asked

        call = service if not bucket else f"{service} {bucket}"
        session, lock = self._session(call, access.profile)
        with lock, botocore_says(call):
            from botocore.config import Config

            known = region or access.region or session.get_config_variable("region")
            client = session.create_client(
                service,
                region_name=known or os.environ.get("AWS_REGION"),
                endpoint_url=access.endpoint_url,
                aws_access_key_id=NO_KEY,
                aws_secret_access_key=NO_KEY,
                config=Config(signature_version="s3v4") if service == "s3" else None,
            )
            url, scope = (
                str(client.meta.endpoint_url),
                Scope(str(client.meta.region_name), str(client.meta.service_model.signing_name)),
            )
            if bucket:
                url, scope = _of_bucket(client, bucket)
            parts = urlsplit(url)
            return Endpoint(
                service,
                f"{parts.scheme}://{parts.netloc}",
                parts.path.rstrip("/"),
                scope,
                _trust(session.get_config_variable("ca_bundle")) if parts.scheme == "https" else None,
                _proxy(url),
                client.meta.events if _has_stand_ins() else None,
                bucket,
                client.meta.service_model,
                client.meta.method_to_api_mapping,
            )

    def credentials(self, profile: str | None) -> Any:
        """Botocore's credentials of a profile. Raises: AwsError where there are none. Blocks."""
        session, lock = self._session("credentials", profile)
        with lock, botocore_says("credentials"):
            credentials = session.get_credentials()
        if credentials is None:
            words = "Unable to locate credentials"
            raise AwsError("", verdict_here("NoCredentialsError"), "", words)
        return credentials

    def _session(self, call: str, profile: str | None) -> tuple[Any, threading.Lock]:
        with self._lock, botocore_says(call):
            if profile not in self._sessions:
                from botocore.session import Session

                self._sessions[profile] = Session(profile=profile), threading.Lock()
            return self._sessions[profile]


KNOWN: Final = SessionCache()


class botocore_says:  # noqa: N801 - reads as a statement: `with botocore_says(…)`
    """Say in our words what botocore raises in a block. Raises: AwsError."""

    def __init__(self, call: str) -> None:
        self._call = call

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Raises: AwsError for an error of botocore."""
        if error is None or isinstance(error, ImportError):
            return
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
            wrong = ErrorMeaning(Meaning.NOWHERE, CORRECT_THE_ENDPOINT)
            raise AwsError(self._call, wrong, "", str(error)) from error
        if isinstance(error, BotoCoreError):
            raise AwsError(self._call, verdict_here(type(error).__name__), "", str(error)) from error
        if isinstance(error, ClientError):  # a role that cannot be assumed
            code, words, status, _ = read_answer(error.response)
            raise AwsError(self._call, verdict(code, words, status=status), code, words) from error


class _Nothing:
    """An empty body, as botocore reads one."""

    def stream(self) -> Iterator[bytes]:
        """No bytes."""
        return iter(())


def _of_bucket(client: Any, bucket: str) -> tuple[str, Scope]:
    """The address of a bucket, and what a signature of its requests is good for: as botocore would send one,
    which it does not.
    """
    from botocore.awsrequest import AWSResponse

    caught: list[Any] = []

    def catch(request: Any, **_: Any) -> Any:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, _Nothing())

    client.meta.events.register_first("before-send.s3", catch)
    client.head_bucket(Bucket=bucket)
    client.meta.events.unregister("before-send.s3", catch)
    signed = str(caught[-1].headers["Authorization"]).partition("Credential=")[2].partition(",")[0]
    _, _, region, service, _ = signed.rsplit("/", 4)
    return str(caught[-1].url), Scope(region, service)


def _has_stand_ins() -> bool:
    """Whether something in this process answers before botocore sends: moto's mock registers there."""
    from botocore.handlers import BUILTIN_HANDLERS

    return any(str(entry[0]).startswith("before-send") for entry in BUILTIN_HANDLERS)


@lru_cache(maxsize=8)
def _trust(bundle: str | None) -> "SSLContext":
    from ssl import create_default_context

    from botocore.httpsession import get_cert_path

    return create_default_context(cafile=bundle or get_cert_path(True))


def _proxy(url: str) -> str | None:
    from botocore.utils import get_environ_proxies

    proxies: dict[str, str] = get_environ_proxies(url)
    return proxies.get(urlsplit(url).scheme)


# ---- credentials -------------------------------------------------------------------------------------------


class Keyring:
    """Credentials of one profile on one loop. Guarantee: one look at a time; calls wait for the first."""

    def __init__(self, load: Callable[[], Any], now: Callable[[], float]) -> None:
        self._load = load
        self._now = now
        self._source: Any = None
        self._current: Credentials | None = None
        self._check_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    def get(self) -> "Credentials | Awaitable[Credentials]":
        """The present ones; while there are none, what to await. Raises: AwsError where it is awaited."""
        if self._now() >= self._check_at and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(_taken)
        return self._current or self._first()

    async def _first(self) -> Credentials:
        while self._current is None:
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())
                self._looking.add_done_callback(_taken)
            await asyncio.shield(self._looking)
        return self._current

    async def _look(self) -> None:
        try:
            self._current, runs_out = await off_the_loop(self._frozen)
            self._check_at = self._now() + CHECK_S if runs_out else float("inf")
        except AwsError:
            self._check_at = self._now() + AGAIN_S
            raise
        finally:
            self._looking = None

    def _frozen(self) -> tuple[Credentials, bool]:
        """Those of this moment, renewed where it is time, and whether they run out. Blocks."""
        from botocore.credentials import RefreshableCredentials

        with botocore_says("credentials"):
            self._source = self._source or self._load()
            frozen = self._source.get_frozen_credentials()
        learn(frozen.secret_key, frozen.token)
        runs_out = isinstance(self._source, RefreshableCredentials)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None), runs_out


def _taken(task: "asyncio.Task[None]") -> None:
    """Callers that await a look get what it raised; without any, the next call looks again."""
    if not task.cancelled():
        task.exception()
