"""Which projections of an app a worker can run, seen before it begins: where their rows are kept, and whether
the endpoint tells the positions that a build begins with.

Rules of this file: it only asks, and what does not fit is refused in words with what to do. `refusals` is
what `tailrace worker` refuses by and what `tailrace explain --on worker` prints: one list. Called by
cli/worker.py and cli/explain_app.py. Source: growth §3.1, §4; docs/decisions/0057.
"""

from collections.abc import Mapping

from tailrace.app.app import App
from tailrace.app.projection import Projection
from tailrace.app.table import Table
from tailrace.aws.places import Access
from tailrace.errors import SettingsError
from tailrace.sources.far_items import FarItems, NoPosition, served_version
from tailrace.sources.far_tables import FarRefusal, where
from tailrace.version import __version__


async def check_projections(app: App, access: Access, *, has_marks: bool) -> None:
    """See that every projection of an app can be built from afar. Shape: `has_marks` a DynamoDB table beside
    the tables keeps marks. Raises: SettingsError naming the projection; SourceError.
    """
    for projection in projections_of(app).values():
        refused = refused_rows(projection, has_marks=has_marks)
        if refused is None:
            refused = await refused_place(projection.table, access)
        if refused is not None:
            raise SettingsError(f"projection {projection.id!r} {refused.says}", hint=refused.hint)


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


async def refused_place(table: Table, access: Access) -> FarRefusal | None:
    """Why no build can begin with a table's items; None: it can. Raises: SourceError."""
    try:
        await FarItems(access, [table]).page(table.name, None, 1)
    except NoPosition:
        here = where(access)
        if (version := await served_version(access)) is not None:
            return FarRefusal(
                f"is of a table at {here}, a `tailrace serve` of version {version}, which does not tell yet "
                "as of which position a Scan is: a build begins with a snapshot of the table",
                f"serve the table with the version of this worker ({__version__}) or a later one",
            )
        return FarRefusal(
            f"is of a table at {here}: its build begins with a snapshot of the table at an exact position, "
            "which a `tailrace serve` tells with a Scan, and AWS and Alternator do not",
            "keep it where the table is, with `tailrace dev`, or read the changes with @app.on",
        )
    return None
