"""Which `Host` headers a server answers to: what keeps a web page from reaching it through a name of its own.

Rules of this file: pure. A page can point its own domain name at 127.0.0.1, but never an address or
`localhost`: those are safe by themselves, other names must be configured. Called by `server.connection` once
for each header value it has not seen. Source: architecture §5, decision 9. Stands alone because it is pure,
and guards the door: read it alone.
"""

from ipaddress import ip_address

ANY = "*"


def host_name(header: bytes) -> str:
    """The name in a Host header, without port and brackets, in lower case.

    >>> host_name(b"LocalHost:8000"), host_name(b"[::1]:8000"), host_name(b"127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def is_allowed(header: bytes, listening: str, configured: frozenset[str] = frozenset()) -> bool:
    """Whether a server that listens on this address answers to this Host header.

    >>> is_allowed(b"localhost:8000", "127.0.0.1"), is_allowed(b"evil.example", "127.0.0.1")
    (True, False)
    """
    name = host_name(header)
    if ANY in configured or name in configured or name == listening.lower():
        return True
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not _is_loopback(listening)


def _is_loopback(listening: str) -> bool:
    try:
        return ip_address(listening).is_loopback
    except ValueError:
        return listening == "localhost"
