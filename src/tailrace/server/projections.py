"""Verbs about projections: list them, read them, rebuild them, let another build be served.

Rules of this file: what is only read is read from the rows, so that it answers without an app where the rows
lie in the data directory; what needs the function, or changes something, needs the running app. Registered by
`verbs`.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tailrace.app.fingerprint import is_changed
from tailrace.app.projection import Projection
from tailrace.deadletters.core.head import head_prefix
from tailrace.deadletters.views.letters import heads
from tailrace.errors import TailraceError
from tailrace.ports import ProjectionStore
from tailrace.projections.core.builds import Build
from tailrace.projections.core.rows import GroupState
from tailrace.projections.run.projector import Projector
from tailrace.projections.run.verifying import verify
from tailrace.projections.views.projections import ProjectionView, own_keys, projections, state_groups
from tailrace.runtime.pages import rows
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.mapping_verbs import remove

STATE = "state"
"""Where rows are kept that can be read without the app."""


class DeclaredProjection(Struct, frozen=True):
    """One projection of one app: what its rows say, and the running app that declares it."""

    subject: Subject
    rows: ProjectionView

    @property
    def id(self) -> str:
        """Its name."""
        return self.rows.id

    @property
    def projector(self) -> Projector | None:
        """Of the running app, when it is this one's."""
        worker = self.subject.worker
        found = None if worker is None or worker.app.name != self.rows.app else worker.projector
        return found if found is not None and self.declared_in(found) else None

    def declared(self) -> tuple[Projector, Projection]:
        """The running app's projector, and the projection as it is declared, in its highest version. Raises:
        TailraceError.
        """
        projector = self.projector
        if projector is None:
            raise TailraceError(
                f"This needs the function of {self.id!r}, and no app that declares it runs here.",
                hint="tailrace dev app.py",
            )
        return projector, max(self.declared_in(projector), key=lambda each: each.version)

    def declared_in(self, projector: Projector) -> list[Projection]:
        """Its versions that an app declares."""
        return [each for each in projector.projections if each.id == self.id]

    def build(self, name: str | None) -> Build:
        """A build by its name. Raises: TailraceError with those that there are."""
        for each in self.rows.builds:
            if each.name == name:
                return each
        words = ", ".join(each.name for each in self.rows.builds)
        raise TailraceError(
            f"{self.id!r} has no build {name!r}. There are: {words}.", hint="tailrace projection ls"
        )

    def store(self, build: Build) -> ProjectionStore | None:
        """The rows of a build that are not in the state. Raises: TailraceError when nobody here can read
        them.
        """
        if build.into == STATE:
            return None
        projector, projection = self.declared()
        return projector.builds.store(projection, build.name)

    async def groups(self, build: Build, keys: Sequence[str] | None) -> list[GroupState]:
        """The groups with items in them, in the order of their keys' texts. Raises: StoreError, Unavailable,
        TailraceError.
        """
        store = self.store(build)
        found = (
            await state_groups(self.subject.state, self.rows, build, keys)
            if store is None
            else await store.groups(keys)
        )
        return sorted((each for each in found if each.count), key=lambda each: each.key)


async def every(subject: Subject) -> list[DeclaredProjection]:
    """Every projection that this directory knows."""
    return [DeclaredProjection(subject, rows) for rows in await projections(subject.state)]


async def named(subject: Subject, arguments: Arguments) -> DeclaredProjection:
    """The projection that is meant, by its id or as app/id. Raises: TailraceError with those that there
    are.
    """
    name, known = arguments.get("projection"), await every(subject)
    found = [each for each in known if name in (each.id, f"{each.rows.app}/{each.id}")]
    if len(found) == 1:
        return found[0]
    if found:
        words = ", ".join(f"{each.rows.app}/{each.id}" for each in found)
        raise TailraceError(
            f"Several projections are called {name!r}: {words}.", hint="name one as app/projection"
        )
    words = ", ".join(each.id for each in known) or "none"
    raise TailraceError(
        f"There is no projection {name!r}. There are: {words}.", hint="tailrace projection ls"
    )


async def build_value(named: DeclaredProjection, build: Build) -> dict[str, Any]:
    """One build, for people and programs."""
    mapping, rows = f"{named.id}@v{build.version}", named.rows
    parked = await heads(named.subject.state, rows.app, mapping)
    projector = named.projector
    declared = (
        []
        if projector is None
        else [one for one in named.declared_in(projector) if one.version == build.version]
    )
    return {
        "projection": rows.id,
        "app": rows.app,
        "table": rows.table,
        "build": build.name,
        "handler": mapping,
        "served": build.name == rows.served,
        "filled": build.is_filled,
        "items": build.filled,
        "into": build.into,
        "failures": build.failures,
        "failed": [list(one) for one in build.failed],
        "parked_keys": len(parked),
        "changed": any(is_changed(build.code, one.fingerprint) for one in declared),
    }


@verb("projection.ls")
async def projection_ls(subject: Subject, arguments: Arguments) -> object:
    """Every build of every projection."""
    return [await build_value(each, build) for each in await every(subject) for build in each.rows.builds]


@verb("projection.read")
async def projection_read(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, keys (texts of attribute values; None: all), build (the one that is served
    unless told).
    """
    found = await named(subject, arguments)
    build = found.build(arguments.get("build") or found.rows.served)
    groups = await found.groups(build, arguments.get("keys"))
    return {
        "projection": found.id, "build": build.name, "filled": build.is_filled,
        "groups": [{"key": each.key, "count": each.count, "state": each.state} for each in groups],
    }  # fmt: skip


@verb("projection.verify")
async def projection_verify(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection. Compares the build that is served with the table's items as they are."""
    found = await named(subject, arguments)
    projector, projection = found.declared()
    build = found.build(arguments.get("build") or found.rows.served)
    if build.version != projection.version:
        raise TailraceError(
            f"{found.id!r}: build {build.name} is served, and the app declares version "
            f"{projection.version}: what it was built with is not here.",
            hint="tailrace projection ls",
        )
    heads_of = rows(subject.state, head_prefix(found.rows.app, projection.mapping_id))
    parked = frozenset([str(row.fields["key"]) async for row in heads_of])
    store = projector.builds.store(projection, build.name)
    verdict = await verify(projector, projection, store, subject.clock, parked)
    return {
        "projection": found.id,
        "build": build.name,
        "items": verdict.items,
        "groups": verdict.groups,
        "in_flight": verdict.in_flight,
        "differing": verdict.count,
        "differences": [
            {
                "kind": each.kind,
                "key": each.key,
                "expected": each.expected,
                "found": each.found,
                "reason": each.reason,
            }
            for each in verdict.differences
        ],
    }


@verb("projection.rebuild", changes=True)
async def projection_rebuild(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run. Begins another build of the declared version, from the table's
    items.
    """
    found = await named(subject, arguments)
    projector, projection = found.declared()
    answer = {
        "projection": found.id,
        "served": found.rows.served,
        "swap": projection.swap,
        "dry_run": bool(arguments.get("dry_run")),
        "items": subject.engine.describe_table(projection.table.name).get("ItemCount", 0),
    }
    if projector.is_bringing_up(projection) or await projector.is_being_filled(projection):
        raise TailraceError(
            f"{found.id!r} is being built already.", hint="tailrace projection ls says how far it is"
        )
    build = None if arguments.get("dry_run") else await projector.rebuild(projection)
    return {**answer, "build": None if build is None else build.name}


@verb("projection.swap", changes=True)
async def projection_swap(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run, force (also when it has not caught up). Serves the newest build of the
    declared version.
    """
    found = await named(subject, arguments)
    projector, projection = found.declared()
    build = [each for each in found.rows.builds if each.version == projection.version][-1]
    answer = {
        "projection": found.id,
        "build": build.name,
        "before": found.rows.served,
        "dry_run": bool(arguments.get("dry_run")),
        "removes": [each.name for each in found.rows.builds if each.name != build.name],
    }
    if build.name == found.rows.served:
        raise TailraceError(
            f"{found.id!r}: its newest build, {build.name}, is served already.",
            hint=f"tailrace projection rebuild {found.id}",
        )
    why = await projector.why_not_yet(projection, build)
    if why is not None and not arguments.get("force"):
        raise TailraceError(
            f"{found.id!r}: build {build.name} is not ready: {why}.",
            hint=f"tailrace projection swap {found.id} --force serves it all the same",
        )
    if not answer["dry_run"]:
        await projector.swap(projection, build.name)
    return {**answer, "not_ready": why}


@verb("projection.drop", changes=True, works_offline=True)
async def projection_drop(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run. Forgets a projection that no app here declares any more, with its
    mappings; in slices.
    """
    found = await named(subject, arguments)
    if found.projector is not None:
        raise TailraceError(
            f"{found.id!r} is declared by the app that runs here.",
            hint="remove it from the app, then drop it",
        )
    is_dry, keys = bool(arguments.get("dry_run")), own_keys(subject.state, found.rows)
    return {
        "projection": found.id, "rows": await remove(subject.state, keys, dry_run=is_dry), "dry_run": is_dry,
        "left": sorted({each.into for each in found.rows.builds if each.into != STATE}),
    }  # fmt: skip
