"""The walls of a test world: which addresses its handlers may reach, by name, and the refusal of others.

Theory of operation: sockets of Python, and botocore before it sends, ask here while a world runs (waiting.py
asks for all threads: a thread that a handler starts is inside too). The error is no OSError, so that no
client takes it for a broken connection and tries again.
Rules of this file: it decides; waiting.py patches. What C libraries open by themselves (libpq,
gRPC, c-ares) is not seen here.
"""

import socket
from collections.abc import Collection
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from tailrace.errors import SettingsError

Allowed: TypeAlias = bool | str | Collection[str]
LOOPBACK: Final = frozenset({"localhost", "ip6-localhost", "::1", "0.0.0.0", "::", ""})
"""Names and addresses of this machine; all are one name here, "localhost"."""
HINT: Final = (
    "world.override(provider, …) puts something in its place; World(app, network={!r}) lets it through"
)


class NetworkRefused(SettingsError):
    """A handler wants to reach something outside of its test world that was not allowed."""


class Network:
    """What may be reached.

    Shape:   True is everything; else names "host" or "host:port" ("localhost" is all of this machine), or
             paths of sockets.
    """

    def __init__(self, allowed: Allowed = ()) -> None:
        self._is_open = allowed is True
        names: Collection[object] = (
            () if isinstance(allowed, bool) else (allowed,) if isinstance(allowed, str) else allowed
        )
        for name in names:
            if not isinstance(name, str) or not name:
                raise SettingsError(
                    f"network: {name!r} is not allowed; it is True, or names such as 'localhost:8000'"
                )
        self._names = {_known(str(name)) for name in names}
        self._resolved: set[str] = set()

    def admits(self, host: str, port: int | None) -> bool:
        """Whether a host may be reached; without a port: whether its name may be looked up."""
        if self._is_open:
            return True
        name = _name(host)
        if name in self._resolved:
            return True
        if port is None:
            return any(admitted == name or admitted.rpartition(":")[0] == name for admitted in self._names)
        return name in self._names or f"{name}:{port}" in self._names

    def check(self, address: Any, family: int) -> None:
        """Raises: NetworkRefused for an address that a socket may not connect or send to."""
        if family in (socket.AF_INET, socket.AF_INET6):
            host, port = str(address[0]), int(address[1])
            if not self.admits(host, port):
                raise refusal(host, port)
        elif not self._is_open and not (isinstance(address, str | bytes) and _text(address) in self._names):
            path = _text(address) if isinstance(address, str | bytes) else str(address)
            raise NetworkRefused(
                f"nothing leaves a test world: {path} was not reached", hint=HINT.format(path)
            )

    def check_lookup(self, host: Any, port: Any) -> None:
        """Refuse a name that may not be looked up; the addresses of an allowed one may be reached.

        Raises:  NetworkRefused.
        """
        if host is None:
            return
        name = _text(host) if isinstance(host, str | bytes | bytearray) else str(host)
        if not self.admits(name, int(port) if isinstance(port, int) or str(port).isdecimal() else None):
            raise refusal(name, port)

    def check_url(self, url: str, operation: str) -> None:
        """Raises: NetworkRefused for an address that an HTTP client may not send to."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not self.admits(host, port):
            raise refusal(host, port, operation)

    def note(self, addresses: Collection[str]) -> None:
        """These are the addresses of a name that may be reached."""
        self._resolved.update(map(_name, addresses))


def refusal(host: str, port: Any, operation: str = "") -> NetworkRefused:
    """The error for a host."""
    place = f"{host}:{port}" if port not in (None, 0, "") else host
    shown = f"{_name(host)}:{port}" if port not in (None, 0, "") else _name(host)
    whose = f" ({operation})" if operation else ""
    return NetworkRefused(
        f"nothing leaves a test world: {place}{whose} was not reached", hint=HINT.format(shown)
    )


def _known(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if (
        colon
        and port.isdecimal()
        and not text.startswith("/")
        and ":" not in host.strip("[]").removeprefix("::1")
    ):
        return f"{_name(host.strip('[]'))}:{port}"
    return text if text.startswith("/") else _name(text.strip("[]"))


def _name(host: str) -> str:
    name = host.lower().rstrip(".").partition("%")[0]
    return "localhost" if name in LOOPBACK or name.startswith(("127.", "::ffff:127.")) else name


def _text(value: str | bytes | bytearray) -> str:
    return value if isinstance(value, str) else bytes(value).decode(errors="replace")
