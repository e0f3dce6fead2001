"""Which projections of an app a worker can run, seen before it begins: where their rows are kept, and what
the endpoint lets a build be filled from.

Rules of this file: it only asks, and what does not fit is refused in words with what to do. `refusals` is
what `tailrace worker` refuses by and what `tailrace explain --on worker` prints: one list. Called by
cli/worker.py and cli/explain_worker.py. Source: growth §3.1, §4; docs/decisions/0057 and 0074.
"""

from collections.abc import Mapping
from typing import Final

from tailrace.app.app import App
from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.aws.places import Access
from tailrace.errors import SettingsError
from tailrace.sources.far_items import FarItems
from tailrace.sources.far_tables import FarRefusal

EXACT: Final = "a Scan whose pages say as of which position they are"
TIMED: Final = (
    "a Scan of consistent reads without positions: changes of before a build began, and of an hour after, "
    "cost one more read of their items"
)


async def check_projections(app: App, access: Access, *, has_marks: bool) -> None:
    """See that every projection of an app can be built from afar. Shape: `has_marks` a DynamoDB table beside
    the tables keeps marks. Raises: SettingsError naming the projection; SourceError.
    """
    for projection in projections_of(app).values():
        if (refused := refused_rows(projection, has_marks=has_marks)) is not None:
            raise SettingsError(f"projection {projection.id!r} {refused.says}", hint=refused.hint)
        await filling_of(projection.table, access)


def projections_of(app: App) -> Mapping[str, Projection]:
    """The projections of an app, by their mappings."""
    return {mapping.id: mapping.projection for mapping in app.mappings if mapping.projection is not None}


def refused_rows(projection: Projection, *, has_marks: bool) -> FarRefusal | None:
    """Why a projection's rows cannot be kept where it says; None: they can."""
    match projection.into:
        case None:
            return None
        case Table(name=name) if has_marks:
            return None
        case Table(name=name):
            return FarRefusal(
                f"is kept in table {name!r}, in transactions that need a DynamoDB table for marks beside it",
                "tailrace state create dynamodb:TABLE, and the same command with --marks TABLE",
            )
        case place:
            return FarRefusal(
                f"is kept in {type(place).__name__}, a file that one process opens, and every worker writes "
                "all groups",
                "leave `into` out, or give it an app.table(…) with pk= and sk=",
            )


async def filling_of(table: Table, access: Access) -> str:
    """In words, what the builds of a table's projections are filled from. Raises: SourceError when it cannot
    be read as they read it.
    """
    items = FarItems(access, [table])
    page = await items.page(table.name, None, 1)
    if page.position is not None:
        return EXACT
    await items.items(table.name, [keys for _, keys, _ in page.items])  # whether that is allowed
    return TIMED
