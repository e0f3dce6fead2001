"""Every kind of row that the state store holds: whose it is, how its key is made, and what befalls it.

Theory of operation: a key is words joined by `/`, the first names the kind. Whatever goes over rows by kind
(`mapping rename`, `mapping drop`, rebuilds, `projection drop`, deletions of Lambda's API, forgetting, the
audit) reads this registry and has no list of its own.
Rules of this file: a key is made by `RowKind.key` or `RowKind.prefix` and nowhere else
(tests/architecture/tidy.py, `state_keys`); a new kind of row is a line here and in `KINDS`, a section of
docs/formats and a row in tests/unit/rows/every_kind.py. Source: growth §2.1.
"""

from functools import lru_cache
from typing import Final, Literal, TypeAlias

from msgspec import Struct

Owner: TypeAlias = Literal["mapping", "app", "shard", "projection", "directory"]
"""Whose a row is. "shard": the readers' of a shard, for all mappings of the app; "directory": of all
apps here.
"""
Expiry: TypeAlias = Literal[
    "never", "with its shard", "with its item", "after two days", "when its windows are closed", "when done",
    "when 10,000 came after it",
]  # fmt: skip
"""What ends a row while its owner lives. "with its item": when the item is free again. Rows "with its shard"
are removed by worker/forgetting.py, any other by the code that writes them:
tests/unit/rows/test_a_whole_world.py sees to it.
"""


def joined(*words: str) -> str:
    """Words as one text. A `/` or `%` inside a word is escaped, so that no two lists of words share a text or
    a prefix.

    >>> joined("lease", "my/app", "shard-1")
    'lease/my%2Fapp/shard-1'
    """
    plain = "/".join(words)
    if plain.count("/") == len(words) - 1 and "%" not in plain:
        return plain  # nothing to escape, as nearly always: a tenth of a simulation went into looking
    return "/".join(word.replace("%", "%25").replace("/", "%2F") for word in words)


@lru_cache(maxsize=1_024)
def _prefix(*words: str) -> str:
    """The same few are asked for again and again."""
    return joined(*words, "")


def words_of(key: str) -> list[str]:
    """The words of a row's key; the first is its kind.

    >>> words_of("checkpoint/my%2Fapp/mail")
    ['checkpoint', 'my/app', 'mail']
    """
    return [word.replace("%2F", "/").replace("%25", "%") for word in key.split("/")]


class RowKind(Struct, frozen=True):
    """One kind of row.

    Shape:   `format` is the newest that this version writes. A mapping's row has app and mapping id as the
             first words of its key; with `joint` they are one word, `<app>.<mapping id>`; with `by_field` the
             key has only the app, and that field says whose it is. `ids` are fields that hold the mapping's
             id, alone or before a `/`. `holds` says in the plural what of the mapping's work such a row is:
             when it goes, that was never handled. `outlives` a mapping that Lambda's API deletes: it is for
             people to redrive or drop. `version_word` is which word of its key is a version, 0: none. Of a
             kind with `spread` there may be so many writes at once that a store with partitions spreads its
             rows, by so many words behind the first two; rows that are read together have these in common.
    """

    name: str
    owner: Owner
    format: int = 1
    moves_with_rename: bool = False
    goes_with_mapping: bool = False
    expires: Expiry = "never"
    ids: tuple[str, ...] = ()
    joint: bool = False
    by_field: str = ""
    holds: str = ""
    outlives: bool = False
    version_word: int = 0
    spread: int = 0

    def key(self, *words: str) -> str:
        """The key of one row.

        >>> CHECKPOINT.key("shop", "mail", "2026-11-01T00:00:00.000", "shard-1")
        'checkpoint/shop/mail/2026-11-01T00:00:00.000/shard-1'
        """
        return joined(self.name, *words)

    def prefix(self, *words: str) -> str:
        """What the keys of the rows below these words begin with.

        >>> HEAD.prefix("shop", "mail")
        'head/shop/mail/'
        """
        return _prefix(self.name, *words)

    def of_mapping(self, app: str, mapping_id: str) -> str:
        """The key of a mapping's only row of this kind; with a `/` behind it, what its other rows begin with.

        >>> MARK.of_mapping("shop", "mail")
        'mark/shop.mail'
        """
        return self.key(f"{app}.{mapping_id}") if self.joint else self.key(app, mapping_id)


def of_mapping(
    name: str,
    *,
    format: int = 1,
    expires: Expiry = "never",
    ids: tuple[str, ...] = (),
    joint: bool = False,
    by_field: str = "",
    holds: str = "",
    outlives: bool = False,
    version_word: int = 0,
    spread: int = 0,
) -> RowKind:
    """A kind of row that belongs to one mapping: it moves with it and goes with it."""
    return RowKind(
        name,
        "mapping",
        format,
        moves_with_rename=True,
        goes_with_mapping=True,
        expires=expires,
        ids=ids,
        joint=joint,
        by_field=by_field,
        holds=holds,
        outlives=outlives,
        version_word=version_word,
        spread=spread,
    )


# ---- progress of a mapping ---------------------------------------------------------------------------------

CHECKPOINT: Final = of_mapping("checkpoint", format=4, expires="with its shard", spread=3)
LEDGER: Final = of_mapping("ledger", format=2, expires="with its shard")
START: Final = of_mapping("start", ids=("id",))
"""From when on a mapping wants the changes of a stream of another server."""
CHAIN: Final = of_mapping(
    "chain", expires="with its item", holds="changes that wait for one before them", spread=3
)
"""Where an item's changes have come to that are settled, where the source does not keep their order."""
MARK: Final = of_mapping("mark", format=2, expires="after two days", joint=True, spread=3)

# ---- what it has not handled -------------------------------------------------------------------------------

HEAD: Final = of_mapping("head", format=2, expires="with its item", outlives=True, spread=2)
PARKED: Final = of_mapping(
    "parked",
    format=3,
    expires="with its item",
    ids=("handler", "trace"),
    holds="parked changes",
    outlives=True,
    version_word=4,
    spread=2,
)
DEADLETTER: Final = of_mapping(
    "deadletter",
    format=3,
    ids=("handler", "trace"),
    holds="dead letters",
    outlives=True,
    version_word=3,
    spread=2,
)
PASSED: Final = of_mapping("passed", format=2, outlives=True, spread=2)
LOST_WINDOW: Final = of_mapping("lost-window", ids=("handler",), holds="lost tumbling windows", outlives=True)
OUTBOX: Final = of_mapping(
    "outbox",
    format=3,
    expires="when done",
    ids=("handler",),
    holds="notices to its on-failure destination",
    version_word=3,
    spread=2,
)
EVACUATED: Final = of_mapping(
    "evacuated",
    format=3,
    expires="when done",
    holds="changes saved from the trim",
    version_word=5,
    spread=3,
)
EVACUATION: Final = of_mapping("evacuation", format=2, expires="when done")
GAP: Final = of_mapping("gap", format=2, expires="never", holds="gaps", version_word=3)
REDRIVE: Final = of_mapping("redrive", expires="when done", ids=("handler",), by_field="handler")
REPLAY: Final = of_mapping("replay", format=2, expires="when done", ids=("handler",))
"""How far a live replay is that is not finished."""

ALERT: Final = of_mapping("alert", expires="when done", ids=("handler",))
"""An alert that holds, or that is still to be told."""

# ---- its windows -------------------------------------------------------------------------------------------

WINDOW_ITEM: Final = of_mapping("window-item", format=2, expires="when its windows are closed", spread=2)
WINDOW_MEMBER: Final = of_mapping("window-member", format=2, expires="when its windows are closed", spread=4)
WINDOW_TOUCHED: Final = of_mapping(
    "window-touched",
    format=2,
    expires="when done",
    holds="pieces of open windows",
    spread=3,
)
WINDOW_TOLD: Final = of_mapping("window-told", format=3, expires="when its windows are closed", spread=3)
WINDOW_DUTY: Final = of_mapping("window-duty")
"""Whose it is now to tell its windows."""
WINDOW_DAY: Final = of_mapping("window-day", expires="when done", spread=3)

# ---- what people said of it --------------------------------------------------------------------------------

PAUSE: Final = of_mapping("pause", expires="when done", ids=("id",))
PAUSE_SEEN: Final = of_mapping("pause-seen", expires="when done")
RESUMED: Final = of_mapping("resumed", ids=("id",))
GENERATIONS: Final = of_mapping("generations", ids=("id",))
PLACED: Final = of_mapping("placed", ids=("id",))
"""Says that its positions were set by an operator: workers that run it forget where it stood."""
MAPPING: Final = of_mapping("mapping", ids=("id",))
"""Says that the mapping was declared: the last that goes with it, so that whatever removes the others can be
repeated.
"""

# ---- of an app and its projections -------------------------------------------------------------------------

ALIVE: Final = RowKind("alive", "app")
"""When a worker of the app last made a whole round: for a watcher outside."""
UNREAD_DUTY: Final = of_mapping("unread-duty")
"""Whose it is now to see to the shards that no worker reads."""
DUTY: Final = RowKind("duty", "app")
"""Whose it is now to tell destinations, and to clean up."""
SOURCES: Final = RowKind("sources", "app", format=2)
"""The numbers of a table's streams: the generations of its changes."""
SOURCES_SEEN: Final = RowKind("sources-seen", "app", expires="when done")
"""Says that a worker numbers by a table's newest reset."""
SNAPSHOT_WANTED: Final = of_mapping("snapshot-wanted", ids=("id",))
"""What people, or the app, want of a mapping's snapshot: which one, and whether it is to stand still."""
SNAPSHOT: Final = of_mapping("snapshot", ids=("id",))
"""How far a mapping's snapshot is, and who is at it."""
MIRROR_BEGAN: Final = of_mapping("mirror-began", ids=("id",))
"""Whether a mapping's mirror was empty before its first change was written, and of which stream that was."""
LEASE: Final = RowKind("lease", "shard", expires="with its shard", spread=2)
HAND_OVER: Final = RowKind("hand-over", "shard", expires="with its shard")
"""Says which worker an operator wants a lease to have; it goes when that worker has ended, too."""
MEMBER: Final = RowKind("member", "app")
"""A worker of a fleet. It goes when that stops, or has stood still for an hour (leases/fleet.py)."""
PROJECTION: Final = RowKind("projection", "projection")
PROJECTION_BUILDS: Final = RowKind("projection-builds", "projection")
"""The number of the last change of which builds a projection has: the condition of the next one."""
PROJECTION_BUILD: Final = RowKind("projection-build", "projection", format=4)
PROJECTION_ITEM: Final = RowKind("projection-item", "projection", format=2, spread=2)
PROJECTION_GROUP: Final = RowKind("projection-group", "projection", spread=2)

# ---- of a data directory -----------------------------------------------------------------------------------

LAYOUT: Final = RowKind("layout", "directory")
"""Says that the keys of all rows are as this version makes them."""
AUDIT: Final = RowKind("audit", "directory", format=2, expires="when 10,000 came after it")
CLOCK: Final = RowKind("clock", "directory")
EVENT_SOURCE_MAPPING: Final = RowKind("esm", "directory")
FUNCTION: Final = RowKind("function", "directory")

KINDS: Final[dict[str, RowKind]] = {
    kind.name: kind
    for kind in (
        CHECKPOINT,
        LEDGER,
        START,
        CHAIN,
        MARK,
        HEAD,
        PARKED,
        DEADLETTER,
        PASSED,
        LOST_WINDOW,
        OUTBOX,
        EVACUATED,
        EVACUATION,
        GAP,
        REDRIVE,
        REPLAY,
        ALERT,
        WINDOW_ITEM,
        WINDOW_MEMBER,
        WINDOW_TOUCHED,
        WINDOW_TOLD,
        WINDOW_DAY,
        WINDOW_DUTY,
        UNREAD_DUTY,
        PAUSE,
        PAUSE_SEEN,
        RESUMED,
        GENERATIONS,
        PLACED,
        ALIVE,
        DUTY,
        SOURCES,
        SOURCES_SEEN,
        SNAPSHOT_WANTED,
        SNAPSHOT,
        MIRROR_BEGAN,
        LEASE,
        HAND_OVER,
        MEMBER,
        PROJECTION,
        PROJECTION_BUILDS,
        PROJECTION_BUILD,
        PROJECTION_ITEM,
        PROJECTION_GROUP,
        LAYOUT,
        AUDIT,
        CLOCK,
        EVENT_SOURCE_MAPPING,
        FUNCTION,
        MAPPING,
    )
}
"""Every kind, by its name; in the order in which what goes over them goes."""


def kind_of(key: str) -> RowKind | None:
    """The kind of a row; None: it is not registered."""
    return KINDS.get(key.partition("/")[0])
