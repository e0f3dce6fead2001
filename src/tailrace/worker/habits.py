"""How a worker gets at what it runs, and how often it does what.

Stands alone because the worker and its leases are both made with them. Rules of this file: values only.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from tailrace.app.app import HandlerMapping
from tailrace.app.table import Table
from tailrace.leases.lease import Owner
from tailrace.leases.member import Identity
from tailrace.mapping.batch import RETENTION_MS
from tailrace.ports import Sink, Source
from tailrace.runtime.agreeing import Besides, nowhere
from tailrace.runtime.driver import AskedTarget

HAND_OVERS: Final = 4
"""So many leases at once a worker hands over when others come."""


class Doors(Struct, frozen=True):
    """How a worker gets at what it runs, by table, by handler.

    Shape:   `last_sequence` is the newest number given so far; `besides` are places with rows; `target_of` is
             where a mapping's positions are, None: in the state.
    """

    source_of: Callable[[Table], Source]
    sink_of: Callable[[HandlerMapping], Sink]
    code_version_of: Callable[[HandlerMapping], str] = lambda _: ""
    last_sequence: Callable[[], int] = lambda: 0
    besides: Besides = nowhere
    target_of: Callable[[HandlerMapping], AskedTarget | None] = lambda _: None


class Habits(Struct, frozen=True):
    """Who a worker is, and how often it does what.

    Shape:   `identity` is what others are told of it; without one only its owner's name. `hand_overs` is how
             many leases it drains at once for others. `holds_trim`: streams keep what an archive has not.
    Units:   milliseconds; retention of the stream.
    """

    owner: Owner
    discovery_ms: int
    renewal_ms: int
    retention_ms: int = RETENTION_MS
    identity: Identity | None = None
    hand_overs: int = HAND_OVERS
    holds_trim: bool = False
