"""Verbs about projections: list them, read them, rebuild them, let another build be served.

Rules of this file: what is only read is read from the rows, so that it answers without an app where the rows
lie in the data directory; what needs the function, or changes something, needs the running app. Registered by
`verbs`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from tailrace.app.fingerprint import is_changed
from tailrace.app.projection import Projection
from tailrace.deadletters.core.head import head_prefix
from tailrace.deadletters.views.letters import heads
from tailrace.errors import TailraceError
from tailrace.ports import ProjectionStore
from tailrace.projections.core.builds import JOURNAL, TABLE, Build, left_ms
from tailrace.projections.core.parts import part_keys, whole_groups
from tailrace.projections.core.rows import GroupState
from tailrace.projections.run.projector import Projector
from tailrace.projections.run.verifying import verify
from tailrace.projections.views.projections import ProjectionView, own_keys, projections, state_groups
from tailrace.runtime.pages import rows
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.mapping_verbs import check_no_worker, remove
from tailrace.values.types import AttributeValue

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
        projector = self.subject.projector(self.rows.app)
        return projector if projector is not None and self.declared_in(projector) else None

    def declared(self) -> tuple[Projector, Projection]:
        """The running app's projector, and the projection in its highest version. Raises: TailraceError."""
        projector = self.projector
        if projector is None:
            raise TailraceError(
                f"This needs the function of {self.id!r}, and no app that declares it runs here.",
                hint="tailrace dev app.py",
            )
        return projector, max(self.declared_in(projector), key=lambda projection: projection.version)

    def declared_in(self, projector: Projector) -> list[Projection]:
        """Its versions that an app declares."""
        return [projection for projection in projector.projections if projection.id == self.id]

    def build(self, name: str | None) -> Build:
        """A build by its name. Raises: TailraceError that names the builds."""
        for build in self.rows.builds:
            if build.name == name:
                return build
        words = ", ".join(build.name for build in self.rows.builds)
        raise TailraceError(
            f"{self.id!r} has no build {name!r}. There are: {words}.", hint="tailrace projection ls"
        )

    def store(self, build: Build) -> ProjectionStore | None:
        """The rows of a build outside the state. Raises: TailraceError when no app here can read them."""
        if build.into == STATE:
            return None
        projector, projection = self.declared()
        return projector.builds.store(projection, build.name)

    def _combined(self, build: Build) -> Callable[[Sequence[AttributeValue]], AttributeValue]:
        """What makes one state of the parts of a group. Raises: TailraceError when no app here can."""
        projector, _ = self.declared()
        for projection in self.declared_in(projector):
            if projection.version == build.version and projection.combine is not None:
                return projection.combined
        raise TailraceError(
            f"{self.id!r}: build {build.name} keeps groups in parts, and the app has no combine= for version "
            f"{build.version}.",
            hint=f"declare combine= again, or raise the version of {self.id}",
        )

    async def groups(self, build: Build, keys: Sequence[str] | None) -> list[GroupState]:
        """Groups with items, by their keys' texts. Raises: StoreError, Unavailable, TailraceError."""
        store = self.store(build)
        if build.is_parted and keys is not None:
            keys = [row for key in keys for row in part_keys(key)]
        groups = (
            await state_groups(self.subject.state, self.rows, build, keys)
            if store is None
            else await store.groups(keys)
        )
        if build.is_parted:
            groups = whole_groups(groups, self._combined(build))
        return sorted((group for group in groups if group.count), key=lambda group: group.key)


async def every(subject: Subject) -> list[DeclaredProjection]:
    """Every projection that this directory knows."""
    return [DeclaredProjection(subject, rows) for rows in await projections(subject.state)]


async def named(subject: Subject, arguments: Arguments) -> DeclaredProjection:
    """The projection of an id or of app/id. Raises: TailraceError that names the projections."""
    name, known = arguments.get("projection"), await every(subject)
    matches = [
        projection
        for projection in known
        if name in (projection.id, f"{projection.rows.app}/{projection.id}")
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        words = ", ".join(f"{projection.rows.app}/{projection.id}" for projection in matches)
        raise TailraceError(
            f"Several projections are called {name!r}: {words}.", hint="name one as app/projection"
        )
    words = ", ".join(projection.id for projection in known) or "none"
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
        else [
            projection for projection in named.declared_in(projector) if projection.version == build.version
        ]
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
        "from": build.source or "table",
        "total": build.total or None,
        "left_ms": left_ms(build, named.subject.clock.now().wall_ms),
        "lacking": list(build.lacking),
        "into": build.into,
        "failures": build.failures,
        "failed": [list(failure) for failure in build.failed],
        "parked_keys": len(parked),
        "changed": any(is_changed(build.code, projection.fingerprint) for projection in declared),
    }


@verb("projection.ls", works_afar=True)
async def projection_ls(subject: Subject, arguments: Arguments) -> object:
    """Every build of every projection."""
    return [
        await build_value(projection, build)
        for projection in await every(subject)
        for build in projection.rows.builds
    ]


@verb("projection.read", works_afar=True)
async def projection_read(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, keys (texts of attribute values; None: all), build (None: the served one)."""
    chosen = await named(subject, arguments)
    build = chosen.build(arguments.get("build") or chosen.rows.served)
    groups = await chosen.groups(build, arguments.get("keys"))
    return {
        "projection": chosen.id,
        "build": build.name,
        "filled": build.is_filled,
        "groups": [{"key": group.key, "count": group.count, "state": group.state} for group in groups],
    }


@verb("projection.verify", works_afar=True)
async def projection_verify(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection. Compares the build that is served with the table's items as they are."""
    chosen = await named(subject, arguments)
    projector, projection = chosen.declared()
    build = chosen.build(arguments.get("build") or chosen.rows.served)
    if build.version != projection.version:
        raise TailraceError(
            f"{chosen.id!r}: build {build.name} is served, and the app declares version "
            f"{projection.version}: what it was built with is not here.",
            hint="tailrace projection ls",
        )
    heads_of = rows(subject.state, head_prefix(chosen.rows.app, projection.mapping_id))
    parked = frozenset([str(row.fields["key"]) async for row in heads_of])
    store = projector.builds.store(projection, build.name)
    verdict = await verify(projection, store, projector.items, projector.following, subject.clock, parked)
    return {
        "projection": chosen.id,
        "build": build.name,
        "items": verdict.items,
        "groups": verdict.groups,
        "in_flight": verdict.in_flight,
        "differing": verdict.count,
        "differences": [
            {
                "kind": difference.kind,
                "key": difference.key,
                "expected": difference.expected,
                "found": difference.projected,
                "reason": difference.reason,
            }
            for difference in verdict.differences
        ],
    }


def source_of(projector: Projector, projection: Projection, asked: str | None) -> str:
    """What a build is to be filled from. Raises: TailraceError where that cannot be."""
    has_journal = projector.builds.journal(projection) is not None
    table = projection.table.name
    if asked == JOURNAL and not has_journal:
        raise TailraceError(
            f"Table {table!r} has no journal.", hint=f"app.archive({table}, 'history/') keeps one from now on"
        )
    if asked == "table" and projection.history:
        raise TailraceError(
            f"{projection.id!r} is of all that ever was in {table!r}, and the table has only what is.",
            hint=f"tailrace projection rebuild {projection.id} --from journal",
        )
    return JOURNAL if has_journal and asked != "table" else TABLE


@verb("projection.rebuild", changes=True, works_afar=True)
async def projection_rebuild(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run, source ("table" or "journal"; None: the journal where there is one).
    Begins another build of the declared version.
    """
    chosen = await named(subject, arguments)
    projector, projection = chosen.declared()
    source = source_of(projector, projection, arguments.get("source"))
    answer = {
        "projection": chosen.id,
        "served": chosen.rows.served,
        "swap": projection.swap,
        "dry_run": bool(arguments.get("dry_run")),
        "items": (await subject.table_size(projection.table.name))[0],
        "from": source or "table",
    }
    if projector.is_bringing_up(projection) or await projector.is_being_filled(projection):
        raise TailraceError(
            f"{chosen.id!r} is being built already.", hint="tailrace projection ls says how far it is"
        )
    build = None if arguments.get("dry_run") else await projector.rebuild(projection, None, source)
    return {**answer, "build": None if build is None else build.name}


@verb("projection.swap", changes=True, works_afar=True)
async def projection_swap(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run, force (even if it lags). Serves the declared version's newest build."""
    chosen = await named(subject, arguments)
    projector, projection = chosen.declared()
    build = [build for build in chosen.rows.builds if build.version == projection.version][-1]
    answer = {
        "projection": chosen.id,
        "build": build.name,
        "before": chosen.rows.served,
        "dry_run": bool(arguments.get("dry_run")),
        "removes": [other.name for other in chosen.rows.builds if other.name != build.name],
    }
    if build.name == chosen.rows.served:
        raise TailraceError(
            f"{chosen.id!r}: its newest build, {build.name}, is served already.",
            hint=f"tailrace projection rebuild {chosen.id}",
        )
    why = await projector.why_not_yet(projection, build)
    if not build.takes_changes:
        raise TailraceError(
            f"{chosen.id!r}: build {build.name} is not ready: {why}. Changes are not applied to it until its "
            "journal has been read, so that it cannot be served yet.",
            hint="tailrace projection ls says how far it is",
        )
    if why is not None and not arguments.get("force"):
        raise TailraceError(
            f"{chosen.id!r}: build {build.name} is not ready: {why}.",
            hint=f"tailrace projection swap {chosen.id} --force serves it all the same",
        )
    if not answer["dry_run"]:
        await projector.swap(projection, build.name)
    return {**answer, "not_ready": why}


@verb("projection.drop", changes=True, works_offline=True, works_afar=True)
async def projection_drop(subject: Subject, arguments: Arguments) -> object:
    """Arguments: projection, dry_run. Forgets a projection that no app here declares, and its mappings."""
    chosen = await named(subject, arguments)
    if chosen.projector is not None:
        raise TailraceError(
            f"{chosen.id!r} is declared by the app{'' if subject.is_far else ' that runs here'}.",
            hint="remove it from the app, then drop it",
        )
    await check_no_worker(subject, arguments, chosen.rows.app, "it would be built anew")
    is_dry, keys = bool(arguments.get("dry_run")), own_keys(subject.state, chosen.rows)
    return {
        "projection": chosen.id,
        "rows": await remove(subject.state, keys, dry_run=is_dry),
        "dry_run": is_dry,
        "left": sorted({build.into for build in chosen.rows.builds if build.into != STATE}),
    }
