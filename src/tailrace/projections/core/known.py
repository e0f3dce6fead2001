"""Which builds a projection has, as of one revision, and how that changes: a build begins, is claimed, is
served, goes.

Theory of operation: one row has a revision, and whatever begins, claims, serves or removes a build raises
it under the condition that it is the one that was read. So all such changes stand in one line, of
whichever worker, and one look at one row tells a worker whether what it knows still holds. How far a filling
is stands in the build's own row, under the condition that no worker wrote it since: a claim has the revision
that it raised as its number, so that no two claims are alike, and a worker that has lost one learns of it
when it writes.
Rules of this file: pure; format 1, docs/formats/projections.md. Carried out by projections/run/builds.py.
Source: docs/decisions/0029.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import PortError
from tailrace.leases.lease import Owner, Sighting, sighted
from tailrace.projections.core.builds import (
    Build,
    build_fields,
    build_key,
    next_name,
    read_build,
    read_served,
    served_fields,
    served_key,
)
from tailrace.rows.kinds import PROJECTION_BUILDS
from tailrace.rows.writes import VERSION, Absent, Check, Equals, StateRow, Write, readable

CLAIM_MS: Final = 30_000
"""How long a worker that says nothing keeps a filling unless it says otherwise, as those of a fleet do; it
renews three times as often.
"""


class BuildGone(PortError):
    """A row was to be written of a build that has been removed: nothing was."""


class KnownBuilds(Struct, frozen=True):
    """The builds of one projection, the oldest first, and which one is served.

    Shape:   `revision` is 0 before the first change that raised it; `removing` are builds that are gone but
             for their rows, each with where they are; `joining` is the build that waits for the last changes
             of its journal, while delivery waits for it, "" for none.
    """

    app: str
    projection: str
    builds: tuple[Build, ...] = ()
    served: str | None = None
    revision: int = 0
    removing: Mapping[str, str] = field(default_factory=dict)
    joining: str = ""

    def of_version(self, version: int) -> list[Build]:
        """The builds of one version of the function."""
        return [build for build in self.builds if build.version == version]

    def build(self, name: str | None) -> Build | None:
        """None: it is not there, or no name was given."""
        return next((build for build in self.builds if build.name == name), None)

    def next_name(self, version: int) -> str:
        """The name of the next build of a version. One that is still being removed keeps its name: what is
        written late must not end up in another.
        """
        return next_name(
            version, [*self.builds, *(Build(self.projection, removed) for removed in self.removing)]
        )

    def with_build(self, build: Build) -> "KnownBuilds":
        """With what is known of one build now."""
        return replace(
            self, builds=tuple(build if known.name == build.name else known for known in self.builds)
        )


def read_known(
    app: str, projection: str, row: StateRow | None, served: StateRow | None, builds: Sequence[StateRow]
) -> KnownBuilds:
    """What these rows say: the one with the revision, the one that says what is served, and those of builds.
    Raises: StoreError.
    """
    known = sorted(
        (read_build(build_row.fields) for build_row in builds),
        key=lambda build: (build.version, build.number),
    )
    return KnownBuilds(
        app,
        projection,
        tuple(known),
        read_served(None if served is None else served.fields),
        read_revision(row),
        {} if row is None else row.fields["removing"],
        "" if row is None else row.fields.get("joining", ""),
    )


def known_key(app: str, projection: str) -> str:
    """The row that has the revision."""
    return PROJECTION_BUILDS.key(app, projection)


def read_revision(row: StateRow | None) -> int:
    """The revision in that row. Raises: StoreError for a format of another version."""
    return 0 if row is None else int(readable(row.fields, "projection's list of builds")["revision"])


def known_fields(known: KnownBuilds) -> dict[str, Any]:
    """The fields of that row."""
    return {
        "v": VERSION,
        "projection": known.projection,
        "revision": known.revision,
        "removing": dict(known.removing),
        **({"joining": known.joining} if known.joining else {}),
    }


def is_there(app: str, projection: str, name: str) -> Check:
    """That a build has not been removed: the condition of whatever is written to its rows."""
    return Check(build_key(app, projection, name), Equals("name", name))


# ---- changes -----------------------------------------------------------------------------------------------


def begun(known: KnownBuilds, build: Build, table: str) -> tuple[KnownBuilds, list[Write]]:
    """One more build; the first of all is served at once."""
    served = known.served or build.name
    after, write = _raised(known, builds=(*known.builds, build), served=served)
    writes = [write, Write(build_key(known.app, known.projection, build.name), build_fields(build))]
    return after, writes if known.served else [*writes, _served(known, table, served)]


def serving(known: KnownBuilds, name: str, table: str) -> tuple[KnownBuilds, list[Write]]:
    """Another build is served."""
    after, write = _raised(known, served=name)
    return after, [write, _served(known, table, name)]


def forgotten(known: KnownBuilds, names: Sequence[str], place: str) -> tuple[KnownBuilds, list[Write]]:
    """These builds are gone; what rows they have in this place are still to be removed."""
    gone = [build for build in known.builds if build.name in names]
    removing = {**known.removing, **{build.name: build.into for build in gone if build.into == place}}
    remaining = tuple(build for build in known.builds if build not in gone)
    after, write = _raised(known, builds=remaining, removing=removing)
    return after, [
        write,
        *(Write(build_key(known.app, known.projection, build.name), None) for build in gone),
    ]


def removed(known: KnownBuilds, names: Sequence[str]) -> tuple[KnownBuilds, list[Write]]:
    """The rows of these builds are gone, too."""
    left = {name: place for name, place in known.removing.items() if name not in names}
    after, write = _raised(known, removing=left)
    return after, [write]


def claimed(
    known: KnownBuilds, build: Build, by: str, claim_ms: int = 0
) -> tuple[KnownBuilds, Build, list[Write]]:
    """A worker begins to fill a build. The caller has looked at `Claims.is_taken`; `build` may be begun
    again.
    """
    taken = replace(build, claimed_by=by, claim=known.revision + 1, beat=0, claim_ms=claim_ms)
    after, write = _raised(known.with_build(taken), joining="")
    key = build_key(known.app, known.projection, build.name)
    return after, taken, [write, Write(key, build_fields(taken), build.unchanged)]


def joining(known: KnownBuilds, name: str) -> tuple[KnownBuilds, list[Write]]:
    """Delivery waits for this build, whose filling is about to end; for none, where `name` is ""."""
    after, write = _raised(known, joining=name)
    return after, [write]


def handed_over(known: KnownBuilds, before: Build, after: Build) -> tuple[KnownBuilds, Build, list[Write]]:
    """From now on delivery applies changes to a build to which it did not, and none is waited for."""
    build, write = saved(known.app, before, after)
    next_known, raised = _raised(known.with_build(build), joining="")
    return next_known, build, [raised, write]


def saved(app: str, before: Build, after: Build) -> tuple[Build, Write]:
    """How far its claimant is with it; a build that is filled is no worker's any more."""
    claimed_by = "" if after.is_filled else before.claimed_by
    build = replace(after, claimed_by=claimed_by, claim=before.claim, beat=before.beat + 1)
    return build, Write(build_key(app, build.projection, build.name), build_fields(build), before.unchanged)


def _raised(known: KnownBuilds, **changes: Any) -> tuple[KnownBuilds, Write]:
    after = replace(known, revision=known.revision + 1, **changes)
    condition = Equals("revision", known.revision) if known.revision else Absent()
    return after, Write(known_key(known.app, known.projection), known_fields(after), condition)


def _served(known: KnownBuilds, table: str, name: str) -> Write:
    return Write(served_key(known.app, known.projection), served_fields(known.projection, table, name))


# ---- claims of others --------------------------------------------------------------------------------------


class BuildClaims:
    """The claims of others as one worker sees them: a claim runs out when its row has not moved for as long
    as it says, by this observer's own clock.
    """

    __slots__ = ("_owner", "_seen")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._seen: dict[str, Sighting] = {}

    def is_taken(self, build: Build, monotonic_ms: int) -> bool:
        """Whether another worker fills this build, and is alive."""
        place = f"{build.projection}@{build.name}"
        if build.claimed_by in ("", self._owner.name) or self._owner.is_gone(build.claimed_by):
            self._seen.pop(place, None)
            return False
        seen = self._seen[place] = sighted(self._seen.get(place), build.stamp, monotonic_ms)
        return not seen.has_expired(monotonic_ms, build.claim_ms or CLAIM_MS)
