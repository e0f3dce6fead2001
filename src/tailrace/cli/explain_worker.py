"""`tailrace explain --on worker APP.PY`: which handlers of an app `tailrace worker` runs, and why it refuses
the others.

Rules of this file: output; what is said is sources/far_tables.py's and sources/far_projections.py's. It asks
the endpoint what a worker would ask, and no more: one page of one item for each projection. Stands alone
because it asks another server. Called by explain.py.
"""

import asyncio
import json
from typing import Any

import click

from tailrace.app.app import App
from tailrace.app.loading import load_app
from tailrace.aws.places import Access
from tailrace.errors import PortError
from tailrace.sources.far_projections import filling_of, projections_of, refused_rows
from tailrace.sources.far_tables import FarRefusal, refused_afar, where


def tell_worker(
    name: str, state: str | None, endpoint: str | None, region: str | None, *, as_json: bool
) -> None:
    """Print what an app's handlers are by a worker. Raises: SettingsError."""
    access = Access(region, endpoint)
    app = load_app(name)
    has_marks = app.remote is not None or (state or "").startswith("dynamodb:")
    handlers = asyncio.run(on_worker(app, access, has_marks=has_marks))
    if as_json:
        click.echo(json.dumps({"on": "worker", "tables": where(access), "handlers": handlers}))
        return
    click.echo(f"tables    {where(access)}")
    for handler in handlers:
        runs = "runs" if handler["runs"] else "is refused"
        click.echo(f"{handler['handler']} ← {handler['table']}: {runs}")
        if handler.get("filled"):
            click.echo(f"  filled    from {handler['filled']}")
        for says, hint in handler["refused"]:
            click.echo(f"  refused   {says}")
            click.echo(f"  instead   {hint}")


async def on_worker(app: App, access: Access, *, has_marks: bool) -> list[dict[str, Any]]:
    """What an app's handlers are by a worker, as JSON. Shape: `refused` pairs of why and what to do."""
    projections = projections_of(app)
    handlers = []
    for mapping in [mapping for mapping in app.mappings if not mapping.only_counts]:
        refused: list[FarRefusal] = []
        filled = ""
        if (projection := projections.get(mapping.id)) is not None:
            if (place := refused_rows(projection, has_marks=has_marks)) is not None:
                refused.append(place)
            try:
                filled = await filling_of(projection.table, access)
            except PortError as error:  # a worker would not begin
                hint = error.hint or "tailrace explain --on worker --help"
                refused.append(FarRefusal(f"its table was not read: {error.args[0]}", hint))
        elif (what := refused_afar(mapping, has_marks=has_marks)) is not None:
            refused = [what]
        handlers.append(
            {
                "handler": mapping.id,
                "table": mapping.table.name,
                "runs": not refused,
                "refused": [[refusal.says, refusal.hint] for refusal in refused],
                **({"filled": filled} if filled and not refused else {}),
            }
        )
    return handlers
