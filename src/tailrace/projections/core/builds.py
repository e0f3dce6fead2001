"""Which builds of a projection there are, and which one is served: their rows.

Theory of operation: a build is a set of rows under a name of its own (`sales@v2`; `sales@v2.1` after a
rebuild). A build is filled from the table's items, lives from the changes after that, and is served from
then on; the build that was served before is removed.
Rules of this file: layouts only, formats 1 to 4, docs/formats/projections.md. Called by
projections/run/builds.py and the `projection` verbs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import PROJECTION, PROJECTION_BUILD
from tailrace.rows.writes import VERSION, Equals, readable

MOST_FAILED: Final = 20
"""So many items that could not be filled in are named; the others are counted."""


PARTED: Final = 2
"""The format of builds with wide numbers or parts."""
TIMED: Final = 3
"""The format of builds from pages without positions."""
TABLE: Final = ""
JOURNAL: Final = "journal"
"""What a build is filled from."""
WIDEST: Final = 2**63 - 1
"""The largest number of ours; numbers of another server are text in rows."""


class Build(Struct, frozen=True):
    """One build.

    Shape:   `name` is the version, with a number after a rebuild ("2", "2.1"); `into` says where its rows
             are, for people; `since` and `position` are the sequence numbers at which the first and the last
             of the table's items were read; `after` where the next one to be read follows; `failed` are (key,
             error) of items that the function failed on; `code` is the fingerprint of the function that it is
             made by. `claimed_by` is the worker that fills it, "" for none; `claim` is the number of the
             last claim, which no other claim of the projection has, 0 before the first; `beat` rises with
             every write under a claim, and may stand still for `claim_ms`, 0: for CLAIM_MS. `is_parted`:
             groups may have parts (parts.py). `is_timed`: its pages told no position (timed.py); `since` and
             `position` are then times, in microseconds since the epoch, and `seen_ms` is when a worker had
             read that it is there, 0 before its first claim. `source` JOURNAL: it is filled from the journal
             of its table (journaled.py), of about `total` changes, or items, that are to be read; `lacking`
             says in words what is missing there, or is not as it should be; `is_compared`: with the table.
             `incarnation` says which table's journal it is, where one was deleted and made anew.
    """

    projection: str
    name: str
    into: str = ""
    is_filled: bool = False
    position: int = 0
    after: Mapping[str, Any] | None = None
    filled: int = 0
    failures: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    begun_ms: int = 0
    since: int = 0
    code: str = ""
    claimed_by: str = ""
    claim: int = 0
    beat: int = 0
    is_parted: bool = False
    claim_ms: int = 0
    is_timed: bool = False
    seen_ms: int = 0
    source: str = TABLE
    total: int = 0
    lacking: tuple[str, ...] = ()
    is_compared: bool = False
    keeps_history: bool = False
    incarnation: str = ""

    @property
    def is_journaled(self) -> bool:
        """Whether it is filled from a journal."""
        return self.source == JOURNAL

    @property
    def takes_changes(self) -> bool:
        """Whether what is delivered is applied to it. To one out of a journal only from the position on at
        which its filling has ended; with history only if no item failed, or its later changes would overtake
        the ones that failed.
        """
        return not self.is_journaled or (self.is_filled and not (self.keeps_history and self.failures))

    @property
    def stamp(self) -> str:
        """What no two writes of its row have alike; "" in a row of before there were claims."""
        return f"{self.claim}/{self.beat}" if self.claim else ""

    @property
    def unchanged(self) -> Equals:
        """That its row is the one that was read; of a row of before claims, that it is there."""
        return Equals("stamp", self.stamp) if self.claim else Equals("name", self.name)

    @property
    def is_wide(self) -> bool:
        """Whether its numbers are another server's, wider than JSON's."""
        return max(self.position, self.since) > WIDEST

    @property
    def version(self) -> int:
        """The version of the function."""
        return int(self.name.partition(".")[0])

    @property
    def number(self) -> int:
        """How many rebuilds of that version came before."""
        return int(self.name.partition(".")[2] or 0)

    def with_page(
        self, position: int, after: Mapping[str, Any] | None, filled: int, failed: Sequence[tuple[str, str]]
    ) -> "Build":
        """After one more page of items."""
        named = (*self.failed, *failed)[:MOST_FAILED]
        return replace(
            self,
            position=position,
            after=after,
            filled=self.filled + filled,
            failures=self.failures + len(failed),
            failed=named,
            is_filled=after is None,
            since=self.since or position,
        )

    def with_part(
        self, after: Mapping[str, Any] | None, filled: int, failed: Sequence[tuple[str, str]]
    ) -> "Build":
        """After one more part of a journal, whose end is not told by a part."""
        named = (*self.failed, *failed)[:MOST_FAILED]
        return replace(
            self,
            after=after,
            filled=self.filled + filled,
            failures=self.failures + len(failed),
            failed=named,
        )

    def begun_again(self) -> "Build":
        """As before the first page: what is applied is applied again, which changes nothing. Pages without
        positions mend nothing that was lost since the first one, so its time stays.
        """
        since = self.since if self.is_timed else 0
        return replace(
            self,
            is_filled=False,
            position=0,
            after=None,
            filled=0,
            failures=0,
            failed=(),
            since=since,
            lacking=(),
            is_compared=False,
        )


def left_ms(build: Build, now_ms: int) -> int | None:
    """About how long the filling takes yet, at its pace since it was begun; None: it is not known.

    >>> left_ms(Build("sales", "1", filled=100, total=400, begun_ms=1_000), 11_000)
    30000
    """
    if build.is_filled or not build.filled or build.total <= build.filled:
        return None
    return (now_ms - build.begun_ms) * (build.total - build.filled) // build.filled


def next_name(version: int, present: Sequence[Build]) -> str:
    """The name of the next build of a version.

    >>> next_name(2, [Build("sales", "1"), Build("sales", "2"), Build("sales", "2.3")])
    '2.4'
    """
    numbers = [build.number for build in present if build.version == version]
    return f"{version}.{max(numbers) + 1}" if numbers else str(version)


def build_key(app: str, projection: str, name: str) -> str:
    """The row of one build."""
    return PROJECTION_BUILD.key(app, projection, name)


def builds_prefix(app: str, projection: str = "") -> str:
    """Before the rows of an app's builds, or of one projection's."""
    return PROJECTION_BUILD.prefix(app, projection) if projection else PROJECTION_BUILD.prefix(app)


def served_key(app: str, projection: str) -> str:
    """The row that says which build is served."""
    return PROJECTION.key(app, projection)


def served_fields(projection: str, table: str, build: str) -> dict[str, Any]:
    """The fields of that row."""
    return {"v": VERSION, "id": projection, "table": table, "served": build}


def read_served(fields: Mapping[str, Any] | None) -> str | None:
    """The build that is served; None before the first. Raises: StoreError for a format of another version."""
    return None if fields is None else str(readable(fields, "projection")["served"])


def build_fields(build: Build) -> dict[str, Any]:
    """The fields of a build's row."""
    fields = {
        "v": _format(build),
        "projection": build.projection,
        "name": build.name,
        "into": build.into,
        "is_filled": build.is_filled,
        "position": _number(build.position),
        "after": build.after,
        "filled": build.filled,
        "failures": build.failures,
        "failed": [list(failure) for failure in build.failed],
        "begun_ms": build.begun_ms,
        "since": _number(build.since),
        "code": build.code,
        "claimed_by": build.claimed_by,
        "claim": build.claim,
        "beat": build.beat,
        "stamp": build.stamp,
    }
    if build.is_parted:
        fields["parts"] = True
    if build.claim_ms:
        fields["claim_ms"] = build.claim_ms
    if build.is_timed:
        fields |= {"timed": True, "seen_ms": build.seen_ms}
    if build.source:
        fields |= {
            "source": build.source,
            "total": build.total,
            "lacking": list(build.lacking),
            "compared": build.is_compared,
            "history": build.keeps_history,
            "incarnation": build.incarnation,
        }
    return fields


def _format(build: Build) -> int:
    """The lowest one whose readers know how the build is to be written to."""
    if build.source:
        return PROJECTION_BUILD.format
    if build.is_timed:
        return TIMED
    return PARTED if build.is_wide or build.is_parted else VERSION


def _number(sequence: int) -> int | str:
    return str(sequence) if sequence > WIDEST else sequence


def read_build(fields: Mapping[str, Any]) -> Build:
    """A build's row. Raises: StoreError for a format of another version."""
    row = readable(fields, "projection's build", PROJECTION_BUILD.format)
    return Build(
        row["projection"],
        row["name"],
        row["into"],
        row["is_filled"],
        int(row["position"]),
        row["after"],
        row["filled"],
        row["failures"],
        tuple((key, error) for key, error in row["failed"]),
        row["begun_ms"],
        int(row["since"]),
        row["code"],
        row.get("claimed_by", ""),
        row.get("claim", 0),
        row.get("beat", 0),
        row.get("parts", False),
        row.get("claim_ms", 0),
        row.get("timed", False),
        row.get("seen_ms", 0),
        row.get("source", TABLE),
        row.get("total", 0),
        tuple(row.get("lacking", ())),
        row.get("compared", False),
        row.get("history", False),
        row.get("incarnation", ""),
    )
