"""A worker's own row among those of a fleet: that it lives, and who it is.

Theory of operation: a worker is an *incarnation*, a name that no other has or had, and writes one row at each
renewal. That row is a sign of life for all of its leases. Each write requires the counter that its own last
one left, so a second worker under the same name is noticed by the next write of either. A write whose outcome
is not known may have been made: its number is remembered, and finding it is no other worker.
Rules of this file: pure; the layout is docs/formats/state.md's. Written by runtime/fleet.py. Source: growth
§3.2.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from tailrace.errors import NameInUse
from tailrace.leases.balance import FleetMember
from tailrace.leases.lease import LEASE_DURATION_MS
from tailrace.rows.kinds import MEMBER, words_of
from tailrace.rows.writes import Absent, Condition, Equals, StateRow, Write, readable


class Identity(Struct, frozen=True):
    """Who a worker is.

    Shape:   `weight` is its share of the leases beside those of others, 1 to 1,000; `host`, `pid` and
             `version` are for people.
    Units:   `lease_ms` is how long its heartbeat may stand still, whatever that of the observer may.
    """

    name: str
    weight: int = 1
    lease_ms: int = LEASE_DURATION_MS
    host: str = ""
    pid: int = 0
    version: str = ""


class MemberRow(Struct, frozen=True):
    """What a worker's row says.

    Shape:   `counter` moves with every write; `changes` is how often this worker has left a lease to others
             or finished a shard: when it has moved, the rows of leases are worth reading. `hands_over`: it
             reads what leases/hand_over.py asks for; a worker of a version before that does not. `view` says
             in a few letters which leases it wants (leases/adopting.py), "" in a row of a version before.
    """

    identity: Identity
    counter: int
    changes: int = 0
    hands_over: bool = True
    view: str = ""

    @property
    def member(self) -> FleetMember:
        """As leases are spread over it."""
        return FleetMember(self.identity.name, self.identity.weight)

    def fields(self) -> dict[str, Any]:
        """As docs/formats/state.md lays the row out; what is for people stands beside the counters."""
        identity = self.identity
        return {
            "v": MEMBER.format,
            "counter": self.counter,
            "changes": self.changes,
            "weight": identity.weight,
            "lease_ms": identity.lease_ms,
            "hands_over": self.hands_over,
            "view": self.view,
            "host": identity.host,
            "pid": identity.pid,
            "version": identity.version,
        }


def member_key(app: str, name: str) -> str:
    """The row of one worker."""
    return MEMBER.key(app, name)


def read_member(row: StateRow) -> MemberRow:
    """A worker's row. Raises: StoreError for one of an unknown format."""
    fields = readable(row.fields, "member", MEMBER.format)
    people = fields["host"], fields["pid"], fields["version"]
    identity = Identity(words_of(row.key)[2], fields["weight"], fields["lease_ms"], *people)
    asks, view = fields.get("hands_over", False), fields.get("view", "")
    return MemberRow(identity, fields["counter"], fields["changes"], asks, view)


class Heartbeat(Struct):
    """The own row of one worker, as far as it knows it.

    Shape:   `counter` is that of the last write, made or tried, and begins above what any worker before of
             that name has written; `unsure` are those of writes that may have been made; `stands` is what the
             next write requires; `has_begun`: one was made; `view` as in its row.
    Units:   `beat_ms` is when the last write that surely was made had begun, by its own monotonic clock.
    """

    app: str
    identity: Identity
    beat_ms: int = 0
    counter: int = 0
    changes: int = 0
    unsure: set[int] = field(default_factory=set)
    stands: Condition = field(default_factory=Absent)
    has_begun: bool = False
    view: str = ""

    @property
    def key(self) -> str:
        """Of its row."""
        return member_key(self.app, self.identity.name)

    def say(self, view: str) -> None:
        """What the worker wants from now on, as the next write says it."""
        self.view = view

    def attempt(self) -> Write:
        """The next write; until it is known what came of it, it may have been made."""
        self.counter += 1
        self.unsure.add(self.counter)
        row = MemberRow(self.identity, self.counter, self.changes, view=self.view)
        return Write(self.key, row.fields(), self.stands)

    def made(self, begun_ms: int) -> None:
        """The last write that was tried surely was made, whatever came of earlier ones. Units: `begun_ms`
        monotonic, when it was begun: no observer can have seen it before.
        """
        self.beat_ms, self.has_begun = begun_ms, True
        self.unsure.clear()
        self.stands = Equals("counter", self.counter)

    def differs(self, fields: Mapping[str, Any] | None) -> None:
        """It was refused, for the row is another than the one it left: removed by others, one of its own
        unsure writes, or, when it begins, what an earlier worker of that name has left.

        Raises: NameInUse when another worker has written it.
        """
        self.unsure.discard(self.counter)
        if fields is None:
            self.stands = Absent()
            return
        counter = readable(fields, "member", MEMBER.format)["counter"]
        if self.has_begun and counter not in self.unsure:
            raise NameInUse(
                f"another worker runs under the name {self.identity.name!r}",
                hint="give each worker a name of its own, or none: then it chooses one",
            )
        self.counter = max(self.counter, counter)
        self.stands = Equals("counter", counter)

    def leave(self) -> list[Write]:
        """The removal of its row, if it has one and that is still its own."""
        return [Write(self.key, None, self.stands)] if self.has_begun or self.unsure else []

    @property
    def fails_ms(self) -> int:
        """When others may take its leases, if it is not written before. Units: monotonic ms."""
        return self.beat_ms + self.identity.lease_ms

    def has_failed(self, monotonic_ms: int) -> bool:
        """Whether it could not be written for so long that others may take its leases."""
        return monotonic_ms >= self.fails_ms
