"""Internet addresses and networks, as the `cidr` operator reads them.

Rules of this file: an address is its family's number of bytes and a number; bits of a network below its mask
do not count; text that is no address never matches. Called by operators.py and matching.py. Source:
event-ruler, `CIDR`.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from msgspec import Struct

from tailrace.errors import PatternError

V4: Final = re.compile(r"[0-9.]+", re.ASCII)
V6: Final = re.compile(r"[0-9a-fA-F:.]+", re.ASCII)
MASK: Final = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
BYTE: Final = 256


class CidrBlock(Struct, frozen=True):
    """All addresses of one family whose first bits are these. Shape: `size` 4 or 16 bytes."""

    size: int
    prefix: int
    shift: int

    def __contains__(self, value: object) -> bool:
        parsed = address(value) if isinstance(value, str) else None
        return parsed is not None and parsed[0] == self.size and parsed[1] >> self.shift == self.prefix


def address(text: str) -> tuple[int, int] | None:
    """The size in bytes and the number of an address; None when it is none.

    >>> address("10.0.0.1") == (4, 0x0A000001) == address("::ffff:10.0.0.1")
    True
    """
    if V4.fullmatch(text):
        return _version_4(text)
    if V6.fullmatch(text):
        try:
            ipv6 = IPv6Address(text)
        except AddressValueError:
            return None
        mapped = ipv6.ipv4_mapped
        return (16, int(ipv6)) if mapped is None else (4, int(mapped))
    return None


def _version_4(text: str) -> tuple[int, int] | None:
    """One to four numbers; the last one fills what is left, as Java reads addresses."""
    parts = text.split(".")
    if len(parts) > 4 or not all(part and len(part) <= 10 for part in parts):
        return None
    *first, last = map(int, parts)
    room = BYTE ** (4 - len(first))
    if last >= room or any(part >= BYTE for part in first):
        return None
    number = 0
    for part in first:
        number = number * BYTE + part
    return 4, number * room + last


def network(text: str) -> CidrBlock:
    """The network behind `address/bits`. Raises: PatternError in the engine's words."""
    slashed = text.rstrip("/").split("/") if text.strip("/") else []
    if len(slashed) != 2:
        raise PatternError("Malformed CIDR, one '/' required")
    where, mask = slashed
    if not MASK.fullmatch(mask):
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise PatternError("Malformed CIDR, mask bits must not be negative")
    parsed = address(where)
    if parsed is None:
        raise PatternError(f"Nonstandard IP address: {where}")
    size, number = parsed
    if bits >= 8 * size:
        raise PatternError(f"IPv{4 if size == 4 else 6} mask bits must be < {8 * size}")
    shift = 8 * size - bits
    return CidrBlock(size, number >> shift, shift)
