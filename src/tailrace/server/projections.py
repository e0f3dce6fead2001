"""Verbs about projections: list them, read them, rebuild them, let another build be served.

Rules of this file: what is only read is read from the rows, so that it answers without an app where the rows lie in the data directory; what
needs the function, or changes something, needs the running app. Registered by `verbs`.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice
from typing import Any

from tailrace.app.fingerprint import is_changed
from tailrace.app.projection import Projection
from tailrace.deadletters.head import head_prefix
from tailrace.errors import TailraceError
from tailrace.ports import ProjectionStore
from tailrace.projections.builds import Build, builds_prefix, read_build, read_served, served_key
from tailrace.projections.rows import (
    Group,
    build_name,
    group_key,
    groups_prefix,
    read_group_row,
)
from tailrace.rows.kinds import MAPPING, PROJECTION, PROJECTION_GROUP, PROJECTION_ITEM, words_of
from tailrace.rows.writes import Write
from tailrace.runtime.projector import Projector
from tailrace.runtime.verifying import verify
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.letters import kept
from tailrace.server.mapping_rows import rows_of

SLICE = 500
STATE = "state"
"""Where rows are kept that can be read without the app."""


class Named:
    """One projection of one app, as its rows say."""

    def __init__(self, subject: Subject, app: str, id: str) -> None:
        self.subject, self.app, self.id = subject, app, id
        row = subject.engine.state_get(served_key(app, id))
        self.served = read_served(row)
        self.table = "" if row is None else str(row["table"])
        rows = subject.engine.state_query(builds_prefix(app, id))
        found = (read_build(each.fields) for each in rows)
        self.builds = sorted(found, key=lambda each: (each.version, each.number))

    @property
    def projector(self) -> Projector | None:
        """Of the running app, when it is this one's."""
        worker = self.subject.worker
        found = None if worker is None or worker.app.name != self.app else worker.projector
        return found if found is not None and self.declared_in(found) else None

    def declared(self) -> tuple[Projector, Projection]:
        """The running app's projector, and the projection as it is declared, in its highest version. Raises: TailraceError."""
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
        for each in self.builds:
            if each.name == name:
                return each
        words = ", ".join(each.name for each in self.builds)
        raise TailraceError(
            f"{self.id!r} has no build {name!r}. There are: {words}.", hint="tailrace projection ls"
        )

    def store(self, build: Build) -> ProjectionStore | None:
        """The rows of a build that are not in the state. Raises: TailraceError when nobody here can read them."""
        if build.into == STATE:
            return None
        projector, projection = self.declared()
        return projector.builds.store(projection, build.name)

    async def groups(self, build: Build, keys: Sequence[str] | None) -> list[Group]:
        """The groups with items in them, in the order of their keys' texts. Raises: StoreError, Unavailable, TailraceError."""
        store = self.store(build)
        if store is not None:
            found = await store.groups(keys)
        else:
            found = self._state_groups(build_name(self.id, build.name), keys)
        return sorted((each for each in found if each.count), key=lambda each: each.key)

    def _state_groups(self, name: str, keys: Sequence[str] | None) -> list[Group]:
        engine = self.subject.engine
        if keys is None:
            return [read_group_row(row.fields) for row in engine.state_query(groups_prefix(self.app, name))]
        rows = (engine.state_get(group_key(self.app, name, key)) for key in keys)
        return [read_group_row(row) for row in rows if row is not None]


def every(subject: Subject) -> list[Named]:
    """Every projection that this directory knows."""
    words = [words_of(row.key) for row in subject.engine.state_query(PROJECTION.prefix())]
    return [Named(subject, app, name) for _, app, name in words]


def named(subject: Subject, arguments: Arguments) -> Named:
    """The projection that is meant, by its id or as app/id. Raises: TailraceError with those that there are."""
    name, known = arguments.get("projection"), every(subject)
    found = [each for each in known if name in (each.id, f"{each.app}/{each.id}")]
    if len(found) == 1:
        return found[0]
    if found:
        words = ", ".join(f"{each.app}/{each.id}" for each in found)
        raise TailraceError(
            f"Several projections are called {name!r}: {words}.", hint="name one as app/projection"
        )
    words = ", ".join(each.id for each in known) or "none"
    raise TailraceError(
        f"There is no projection {name!r}. There are: {words}.", hint="tailrace projection ls"
    )


def build_value(each: Named, build: Build) -> dict[str, Any]:
    """One build, for people and programs."""
    mapping = f"{each.id}@v{build.version}"
    there = kept(each.subject.engine, each.app, mapping)
    projector = each.projector
    declared = (
        []
        if projector is None
        else [one for one in each.declared_in(projector) if one.version == build.version]
    )
    return {
        "projection": each.id, "app": each.app, "table": each.table, "build": build.name, "handler": mapping,
        "served": build.name == each.served, "filled": build.is_filled, "items": build.filled, "into": build.into,
        "failures": build.failures, "failed": [list(one) for one in build.failed], "parked_keys": there.parked_keys,
        "changed": any(is_changed(build.code, one.fingerprint) for one in declared),
    }  # fmt: skip


@verb("projection.ls")
async def projection_ls(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Every build of every projection."""
    yield [build_value(each, build) for each in every(subject) for build in each.builds]


@verb("projection.read")
async def projection_read(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: projection, keys (texts of attribute values; None: all), build (the one that is served unless told)."""
    found = named(subject, arguments)
    build = found.build(arguments.get("build") or found.served)
    groups = await found.groups(build, arguments.get("keys"))
    yield {
        "projection": found.id, "build": build.name, "filled": build.is_filled,
        "groups": [{"key": each.key, "count": each.count, "state": each.state} for each in groups],
    }  # fmt: skip


@verb("projection.verify")
async def projection_verify(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: projection. Compares the build that is served with the table's items as they are."""
    found = named(subject, arguments)
    projector, projection = found.declared()
    build = found.build(arguments.get("build") or found.served)
    if build.version != projection.version:
        raise TailraceError(
            f"{found.id!r}: build {build.name} is served, and the app declares version {projection.version}: what it was built with is not here.",
            hint="tailrace projection ls",
        )
    heads = subject.engine.state_query(head_prefix(found.app, projection.mapping_id))
    parked = frozenset(str(row.fields["key"]) for row in heads)
    store = projector.builds.store(projection, build.name)
    verdict = await verify(projector, projection, store, subject.clock, parked)
    yield {
        "projection": found.id, "build": build.name, "items": verdict.items, "groups": verdict.groups,
        "in_flight": verdict.in_flight, "differing": verdict.count,
        "differences": [
            {"kind": each.kind, "key": each.key, "expected": each.expected, "found": each.found, "reason": each.reason}
            for each in verdict.differences
        ],
    }  # fmt: skip


@verb("projection.rebuild", changes=True)
async def projection_rebuild(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: projection, dry_run. Begins another build of the declared version, from the table's items."""
    found = named(subject, arguments)
    projector, projection = found.declared()
    answer = {
        "projection": found.id, "served": found.served, "swap": projection.swap, "dry_run": bool(arguments.get("dry_run")),
        "items": subject.engine.describe_table(projection.table.name).get("ItemCount", 0),
    }  # fmt: skip
    if projector.is_bringing_up(projection):
        raise TailraceError(
            f"{found.id!r} is being built already.", hint="tailrace projection ls says how far it is"
        )
    build = None if arguments.get("dry_run") else await projector.rebuild(projection)
    yield {**answer, "build": None if build is None else build.name}


@verb("projection.swap", changes=True)
async def projection_swap(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: projection, dry_run, force (also when it has not caught up). Serves the newest build of the declared version."""
    found = named(subject, arguments)
    projector, projection = found.declared()
    build = [each for each in found.builds if each.version == projection.version][-1]
    answer = {
        "projection": found.id, "build": build.name, "before": found.served, "dry_run": bool(arguments.get("dry_run")),
        "removes": [each.name for each in found.builds if each.name != build.name],
    }  # fmt: skip
    if build.name == found.served:
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
    yield {**answer, "not_ready": why}


@verb("projection.drop", changes=True, works_offline=True)
async def projection_drop(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: projection, dry_run. Forgets a projection that no app here declares any more, with its mappings; in slices."""
    found = named(subject, arguments)
    if found.projector is not None:
        raise TailraceError(
            f"{found.id!r} is declared by the app that runs here.",
            hint="remove it from the app, then drop it",
        )
    rows = await _remove(subject, own_keys(subject, found), dry_run=bool(arguments.get("dry_run")))
    yield {
        "projection": found.id, "rows": rows, "dry_run": bool(arguments.get("dry_run")),
        "left": sorted({each.into for each in found.builds if each.into != STATE}),
    }  # fmt: skip


def own_keys(subject: Subject, found: Named) -> Iterator[str]:
    """The rows of a projection in the state: items and groups, mappings, and last what names it, so that a drop can be repeated."""
    engine = subject.engine
    for name in [build_name(found.id, each.name) for each in found.builds]:
        for prefix in (PROJECTION_ITEM.prefix(found.app, name), PROJECTION_GROUP.prefix(found.app, name)):
            yield from (row.key for row in engine.state_rows(prefix, SLICE))
    for mapping in engine.state_query(MAPPING.key(found.app, f"{found.id}@v")):
        yield from (row.key for _, row in rows_of(engine, found.app, str(mapping.fields["id"])))
    yield from (row.key for row in engine.state_query(builds_prefix(found.app, found.id)))
    yield served_key(found.app, found.id)


async def _remove(subject: Subject, keys: Iterator[str], *, dry_run: bool) -> int:
    """Remove these rows, in slices. Returns: how many."""
    removed = 0
    while some := list(islice(keys, SLICE)):
        removed += len(some)
        if not dry_run:
            subject.engine.state_transact([Write(key, None) for key in some])
            if subject.flushed is not None:
                await subject.flushed()
        await asyncio.sleep(0)
    return removed
