"""What a test world keeps its handlers from while it runs: real waiting, and everything outside.

Theory of operation: `time.sleep` passes virtual time in the world's thread; a socket of any thread asks the
walls (sealing.py) before it connects, sends or looks up a name, and botocore before it sends. The first world
that runs lays this over the process, the last one takes it off, and everything is again exactly what it was.
Rules of this file: coroutines that block are warned, because they would stop every other handler of a real
worker. Called by world.py around everything that it runs.
"""

import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from tailrace.clocks.manual import ManualClock
from tailrace.testing.sealing import Network, NetworkRefused


class BlockingCall(UserWarning):
    """A coroutine blocks: await what waits, or declare the handler without `async`: it gets a thread."""


@dataclass(frozen=True, slots=True)
class Inside:
    """A world that runs.

    Shape:   `is_inline` says whether what runs now would run in a thread of a real worker; `refused` is
             told of every refusal.
    """

    clock: ManualClock
    is_inline: Callable[[], bool]
    network: Network
    refused: Callable[[NetworkRefused], None]
    thread: int


ABSENT: Final = object()
METADATA: Final = ("169.254.", "fd00:ec2:")
"""Where botocore looks for credentials on a machine of AWS: no answer there is no error."""
_CALLED: Final[ContextVar[str]] = ContextVar("tailrace_called", default="botocore")
"""What a client of botocore is being asked for."""
_LOCK: Final = threading.RLock()
_RUNNING: Final[list[Inside]] = []
_LAID: Final[list[tuple[Any, str, Any]]] = []
"""What was there before: owner, name and attribute, or ABSENT for one that was only inherited."""


@contextmanager
def nothing_waits(
    clock: ManualClock,
    is_inline: Callable[[], bool],
    network: Network,
    refused: Callable[[NetworkRefused], None],
) -> Iterator[None]:
    """Let nothing wait for real, and nothing leave. Worlds may run inside of each other,."""
    inside = Inside(clock, is_inline, network, refused, threading.get_ident())
    with _LOCK:
        if not _RUNNING:
            _lay()
        _RUNNING.append(inside)
        _lay_over_botocore()
    try:
        yield
    finally:
        with _LOCK:
            del _RUNNING[max(place for place, running in enumerate(_RUNNING) if running is inside)]
            if not _RUNNING:
                _take_off()


def _mine() -> Inside | None:
    """The innermost world of this thread."""
    thread = threading.get_ident()
    return next((running for running in reversed(_RUNNING) if running.thread == thread), None)


def _around() -> Inside | None:
    """The world that this thread is inside of: its own, else the running one, whose handler began it."""
    with _LOCK:
        return _mine() or (_RUNNING[-1] if _RUNNING else None)


def _ask(check: Callable[[Network], None]) -> None:
    """Ask the walls. Raises: NetworkRefused."""
    inside = _around()
    if inside is None:
        return
    try:
        check(inside.network)
    except NetworkRefused as error:
        inside.refused(error)
        with _LOCK:  # a client that tries again after any error is stopped before it sends
            if _RUNNING:
                _lay_over_botocore()
        raise


# ---- laid over the process ---------------------------------------------------------------------------------


def _put(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    """Lay a function over another one, which it is made from."""
    _LAID.append((owner, name, vars(owner).get(name, ABSENT)))
    setattr(owner, name, made(getattr(owner, name)))


def _take_off() -> None:
    while _LAID:
        owner, name, before = _LAID.pop()
        if before is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _lay() -> None:
    _put(time, "sleep", _sleep)
    for name in ("connect", "connect_ex"):
        _put(socket.socket, name, _connect)
    _put(socket.socket, "sendto", _sendto)
    if hasattr(socket.socket, "sendmsg"):
        _put(socket.socket, "sendmsg", _sendmsg)
    _put(socket, "getaddrinfo", _getaddrinfo)
    for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        _put(socket, name, _gethostby)


def _sleep(sleep: Callable[[float], None]) -> Any:
    def pass_time(seconds: Any) -> None:
        inside = _mine()
        if inside is None:
            sleep(seconds)
            return
        if not inside.is_inline():
            warnings.warn(
                f"time.sleep({seconds}) blocks the event loop; write `await asyncio.sleep({seconds})`",
                BlockingCall,
                stacklevel=2,
            )
        inside.clock.advance(ceil(seconds * 1_000))

    return pass_time


def _connect(connect: Callable[..., Any]) -> Any:
    def ask_and_connect(self: socket.socket, address: Any) -> Any:
        _ask(lambda network: network.check(address, self.family))
        inside = _mine()
        if inside is not None and not inside.is_inline() and self.getblocking():
            warnings.warn(
                f"a connection to {address} blocks the event loop: await it, or declare the handler "
                "without `async`",
                BlockingCall,
                stacklevel=2,
            )
        return connect(self, address)

    return ask_and_connect


def _sendto(sendto: Callable[..., int]) -> Any:
    def ask_and_send(self: socket.socket, data: Any, *flags_and_address: Any) -> int:
        _ask(lambda network: network.check(flags_and_address[-1], self.family))
        return sendto(self, data, *flags_and_address)

    return ask_and_send


def _sendmsg(sendmsg: Callable[..., int]) -> Any:
    def ask_and_send(self: socket.socket, buffers: Any, *more: Any) -> int:
        if len(more) > 2 and more[2] is not None:
            _ask(lambda network: network.check(more[2], self.family))
        return sendmsg(self, buffers, *more)

    return ask_and_send


def _getaddrinfo(getaddrinfo: Callable[..., Any]) -> Any:
    def ask_and_look_up(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        _ask(lambda network: network.check_lookup(host, port))
        addresses = getaddrinfo(host, port, *more, **named)
        inside = _around()
        if inside is not None and host is not None:
            inside.network.note({str(address[4][0]) for address in addresses})
        return addresses

    return ask_and_look_up


def _gethostby(look_up: Callable[[str], Any]) -> Any:
    def ask_and_look_up(host: str) -> Any:
        if host != socket.gethostname():  # a machine may know itself
            _ask(lambda network: network.check_lookup(host, None))
        return look_up(host)

    return ask_and_look_up


# ---- clients of AWS ----------------------------------------------------------------------------------------


def _lay_over_botocore() -> None:
    """Once it is imported: refuse before anything is sent or retried, and before credentials lack."""
    session, client = sys.modules.get("botocore.httpsession"), sys.modules.get("botocore.client")
    for owner, name, made in (
        (sys.modules.get("tailrace.aws.client"), "about_to_send", _about_to_send),
        (getattr(session, "URLLib3Session", None), "send", _send),
        (getattr(client, "BaseClient", None), "_make_api_call", _make_api_call),
    ):
        if owner is not None and not any(laid[0] is owner for laid in _LAID):
            _put(owner, name, made)


def _about_to_send(about: Callable[[str, str], None]) -> Any:
    """Our own client says where it will call before it looks for credentials."""

    def ask_about(url: str, call: str) -> None:
        _ask(lambda network: network.check_url(url, call))
        about(url, call)

    return ask_about


def _send(send: Callable[..., Any]) -> Any:
    def ask_and_send(self: Any, request: Any) -> Any:
        try:
            _ask(lambda network: network.check_url(request.url, _CALLED.get()))
        except NetworkRefused as error:
            if request.url.partition("://")[2].strip("[").startswith(METADATA):
                from botocore.exceptions import EndpointConnectionError

                raise EndpointConnectionError(endpoint_url=request.url) from error
            raise
        return send(self, request)

    return ask_and_send


def _make_api_call(call: Callable[..., Any]) -> Any:
    def call_or_say_why(self: Any, operation: str, parameters: Any) -> Any:
        from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

        url, called = str(self.meta.endpoint_url), f"{self.meta.service_model.service_name}.{operation}"
        token = _CALLED.set(called)
        try:
            return call(self, operation, parameters)
        except (CredentialRetrievalError, NoCredentialsError):
            _ask(lambda network: network.check_url(url, called))
            raise
        finally:
            _CALLED.reset(token)

    return call_or_say_why
