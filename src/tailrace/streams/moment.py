"""The present, as pure code is told it.

Rules of this file: nothing here asks for time. Record age, trimming and iterators use `wall_ms`; windows,
back-off and leases use `monotonic_ms`.
"""

from typing import NamedTuple

from msgspec import Struct


class Now(NamedTuple):
    """Shape: wall clock since the epoch, and a clock that never goes back. Units: milliseconds."""

    wall_ms: int
    monotonic_ms: int


class Moment(Struct, frozen=True):
    """A point in time as answers tell it: JSON and CBOR write it differently. Units: ms since the epoch."""

    ms: int
