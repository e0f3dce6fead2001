"""How the servers that speak DynamoDB Streams differ: AWS, Alternator (ScyllaDB), and another `tailrace
serve`.

Theory of operation. The reader is written for AWS, and a dialect says where a server departs from it.
What it departs in is data here, but for three things that take code: how a sequence number on the wire
is a number of ours, when a shard began, and what a change is called.

Alternator: several records may have one sequence number (those of one batch), so a number of ours has
ten more bits, in which they are counted; a position inside such a group can only be read from its
beginning. A page may have more records than were asked for. Names of events are unreliable and writes
that change nothing have records: where a stream has both images, these decide. A change is seen ten
seconds after it was written.
Rules of this file: pure. Source: growth §3.1; reference/fleet §1.1, §3; semantics §1.3, §1.5.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.errors import SettingsError, SourceError
from tailrace.runtime.pacing import SHARD_READS_PER_S

DialectName: TypeAlias = Literal["aws", "alternator", "tailrace"]
MOST_DIGITS: Final = 40
LEAST_DIGITS: Final = 21
"""A sequence number on the wire. Source: semantics §1.1, the model's bounds."""
GROUP_BITS: Final = 10
"""How many records one number of Alternator's may have: 1,024, more than one BatchWriteItem writes."""
AWS_SHARD: Final = re.compile(r"shardId-([0-9]{20})-[0-9a-f]{8}")
ALTERNATOR_SHARD: Final = re.compile(r"H ([0-9a-f]{1,16}):[0-9a-f]{32}")
ALTERNATOR_TABLE: Final = "_scylla_cdc_log"
ALTERNATOR_ARN: Final = re.compile(r"S[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What streams were called before their names were shaped like AWS's."""
SERVICE_IDENTITY: Final = ("Service", "dynamodb.amazonaws.com")


class Dialect(Struct, frozen=True):
    """What is so with one kind of server.

    Shape:   `has_filter` DescribeStream knows CHILD_SHARDS; `has_timestamps` iterators may begin
             AT_TIMESTAMP; `names_by_images` images say what a change is called; `group_bits` low bits of
             a sequence number that are counted here.
    Units:   `window_ms` how long a change is not shown; `shard_reads_per_s` of one shard, by all
             readers; None: no bound. `iterator_ms` how long an iterator lives; None: for ever.
    """

    name: DialectName
    has_filter: bool = True
    has_timestamps: bool = True
    names_by_images: bool = False
    group_bits: int = 0
    window_ms: int = 0
    shard_reads_per_s: int | None = SHARD_READS_PER_S
    iterator_ms: int | None = 900_000

    def number(self, text: str, place: int = 0) -> int:
        """A sequence number of the wire. Shape: `place` among the records that have the same one. Raises:
        SourceError for what is none, or has more than forty digits.

        >>> AWS.number("2900002759746085485437")
        2900002759746085485437
        """
        if not (text.isascii() and text.isdigit()) or len(text) > MOST_DIGITS:
            raise SourceError(f"{text!r} is no sequence number: those have up to {MOST_DIGITS} digits")
        if place >> self.group_bits:
            raise SourceError(f"{place + 1} records have the sequence number {text}")
        return int(text) << self.group_bits | place

    def text(self, number: int) -> str:
        """A number of ours as it stands on the wire.

        >>> AWS.text(7)
        '000000000000000000007'
        """
        return f"{number >> self.group_bits:0{LEAST_DIGITS}d}"

    def last(self, text: str) -> int:
        """The last number of ours that a sequence number of the wire may be. Raises: SourceError."""
        return self.number(text) | (1 << self.group_bits) - 1

    def created_ms(self, shard_id: str) -> int:
        """When a shard began, as its id tells. Units: since the epoch; 0: it does not.

        >>> AWS.created_ms("shardId-00000001789651619772-2a9e5aad"), AWS.created_ms("shard 1")
        (1789651619772, 0)
        >>> ALTERNATOR.created_ms("H 19a2f3c4d5e:0123456789abcdef0123456789abcdef")
        1761729072478
        """
        if self.name == "alternator":
            matched = ALTERNATOR_SHARD.fullmatch(shard_id)
            return 0 if matched is None else int(matched[1], 16)
        matched = AWS_SHARD.fullmatch(shard_id)
        return 0 if matched is None else int(matched[1])

    def event_name(self, said: str, old: object, new: object) -> str | None:
        """What a change with both images is called; None: it is none, both are the same.

        >>> ALTERNATOR.event_name("INSERT", {"a": 1}, {"a": 2}), ALTERNATOR.event_name("MODIFY", {}, {})
        ('MODIFY', None)
        """
        if not self.names_by_images:
            return said
        if old == new:
            return None
        return "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"


AWS: Final = Dialect("aws")
ALTERNATOR: Final = Dialect(
    "alternator", has_timestamps=False, names_by_images=True, group_bits=GROUP_BITS,
    window_ms=10_000, shard_reads_per_s=None, iterator_ms=None,
)  # fmt: skip
TAILRACE: Final = Dialect("tailrace", shard_reads_per_s=None)
DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in (AWS, ALTERNATOR, TAILRACE)}


def dialect_named(name: str) -> Dialect:
    """A dialect by its name. Raises: SettingsError."""
    if name not in DIALECTS:
        raise SettingsError(f"{name!r} is no dialect of DynamoDB Streams: {', '.join(DIALECTS)}")
    return DIALECTS[name]


def dialect_of(stream_arn: str) -> Dialect:
    """The dialect that a stream's name tells. AWS's rules are the strictest, so they hold where nothing
    else is known; another `tailrace serve` keeps to them too.

    >>> dialect_of("arn:aws:dynamodb:us-east-1:000000000000:table/ks@t_scylla_cdc_log/stream/l").name
    'alternator'
    """
    table = stream_arn.partition(":table/")[2].partition("/")[0]
    if table.endswith(ALTERNATOR_TABLE) or ALTERNATOR_ARN.fullmatch(stream_arn):
        return ALTERNATOR
    return AWS


def is_by_ttl(identity: Mapping[str, Any] | None) -> bool:
    """Whether it was the service itself that deleted an item whose time had passed. Source: semantics
    §1.3 (the API and Lambda's event write the members differently).
    """
    if not isinstance(identity, Mapping):
        return False
    members = {str(name).lower(): value for name, value in identity.items()}
    return (members.get("type"), members.get("principalid")) == SERVICE_IDENTITY
