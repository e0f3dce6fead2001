"""Projections as their rows say: which there are, their builds, and the groups that lie in the state.

Rules of this file: it only reads, so that it answers without the app; rows of a build that lie elsewhere are
read by the process that has the app. Called by the `projection` verbs.
"""

from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from tailrace.ports import StateStore
from tailrace.projections.core.builds import Build, builds_prefix, served_key
from tailrace.projections.core.known import known_key, read_known
from tailrace.projections.core.rows import GroupState, build_name, group_key, groups_prefix, read_group_row
from tailrace.rows.kinds import MAPPING, PROJECTION, PROJECTION_GROUP, PROJECTION_ITEM, words_of
from tailrace.runtime.mapping_rows import rows_of
from tailrace.runtime.pages import rows


class ProjectionView(Struct, frozen=True):
    """One projection of one app. Shape: `builds` by version and number; `served` is the name of one of them;
    `removing` are builds of which only rows are left.
    """

    app: str
    id: str
    table: str
    served: str | None
    builds: tuple[Build, ...]
    removing: tuple[str, ...] = ()


async def projections(state: StateStore) -> list[ProjectionView]:
    """Every projection that is known."""
    views: list[ProjectionView] = []
    async for row in rows(state, PROJECTION.prefix()):
        _, app, name = words_of(row.key)
        builds = [build async for build in rows(state, builds_prefix(app, name))]
        known = read_known(app, name, await state.get(known_key(app, name)), row, builds)
        views.append(
            ProjectionView(
                app, name, str(row.fields["table"]), known.served, known.builds, tuple(known.removing)
            )
        )
    return views


async def is_projection(state: StateStore, app: str, name: str) -> bool:
    """Whether an app has a projection of that name."""
    return await state.get(served_key(app, name)) is not None


async def state_groups(
    state: StateStore, projected: ProjectionView, build: Build, keys: Sequence[str] | None
) -> list[GroupState]:
    """The groups of a build that lie in the state: these, or all of them; empty ones too."""
    name = build_name(projected.id, build.name)
    if keys is None:
        return [read_group_row(row.fields) async for row in rows(state, groups_prefix(projected.app, name))]
    known = [await state.get(group_key(projected.app, name, key)) for key in keys]
    return [read_group_row(row.fields) for row in known if row is not None]


async def own_keys(state: StateStore, projected: ProjectionView) -> AsyncIterator[str]:
    """The keys of a projection's rows in the state: of items and groups, of mappings, and last of what names
    it.

    Guarantee: a command that removes them in this order, and is cut off, finds the rest the next time.
    """
    app, projection = projected.app, projected.id
    names = [*(build.name for build in projected.builds), *projected.removing]
    for name in [build_name(projection, name) for name in names]:
        for prefix in (PROJECTION_ITEM.prefix(app, name), PROJECTION_GROUP.prefix(app, name)):
            async for row in rows(state, prefix):
                yield row.key
    async for mapping in rows(state, MAPPING.key(app, f"{projection}@v")):
        async for _, row in rows_of(state, app, str(mapping.fields["id"])):
            yield row.key
    async for row in rows(state, builds_prefix(app, projection)):
        yield row.key
    if await state.get(known_key(app, projection)) is not None:
        yield known_key(app, projection)
    yield served_key(app, projection)
