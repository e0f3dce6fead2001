"""`tailrace schema TABLE`: what columns a table's items have, and the `Item` classes for them.

Rules of this file: options and output. Items are read by the `items.sample` verb, or at an endpoint by
`sources.far_sample`; what they say is decided by `columns.inference`. Registered in `main`.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from msgspec import Struct

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.connection import answers
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import Place, endpoint
from tailrace.cli.status import aligned
from tailrace.values.types import Item

if TYPE_CHECKING:
    from tailrace.columns.entities import DeclaredEntity
    from tailrace.columns.inference import EntitySample, Inferred

MOST: Final = 10_000
LONGEST: Final = 240
"""What is shown of an example. Units: characters."""


class Sample(Struct):
    """Items of a table. Shape: `keys` are names and types of its key attributes; `count` all that it has."""

    keys: list[tuple[str, str]]
    count: int
    items: list[Item]
    read_units: float | None = None
    usd: float | None = None


@click.command()
@click.argument("table")
@click.option(
    "--app", metavar="APP", help="Classes that the app declares for TABLE come before what is inferred."
)
@click.option("--endpoint", "--endpoint-url", "endpoint_url", metavar="URL", callback=endpoint,
              help="Where the table is, if not in the data directory.")  # fmt: skip
@click.option("--region", metavar="REGION", help="Its region at AWS; alone: the table is at AWS.")
@click.option("--sample", "most", type=click.IntRange(1, 1_000_000), default=MOST, show_default=True,
              metavar="N", help="Read at most so many items.")  # fmt: skip
@click.option("--items", "as_items", is_flag=True, help="Write a module of Item classes instead.")
@options.options(*options.place, options.as_json)
def schema(
    table: str, app: str | None, endpoint_url: str | None, region: str | None, most: int, as_items: bool,
    place: Place, as_json: bool,
) -> None:  # fmt: skip
    """Show which entities TABLE keeps, and the columns of each, as sinks would make them.

    A sample of the items is read; nothing is written. Of each entity: how its keys look, how many items are
    of it, and for every attribute the kind of its column, how many of the items have it, and what does not
    fit: such values stand in the column _extra. --items writes Python classes that read and write the items.

    \b
    Example: tailrace schema shop
             tailrace schema shop --items > items.py
             tailrace schema shop --region eu-west-1 --sample 1000
    Next:    app.sink(shop, ...)   (docs/sinks.md)
    """
    if as_items and as_json:
        raise click.UsageError("--items writes Python, --json data: give one of them.")
    is_far = bool(endpoint_url or region)
    if is_far:
        _refuse_both(click.get_current_context())
    declared = _declared(app, table) if app else []
    sample = _far(table, endpoint_url, region, most) if is_far else _near(place, table, most)
    if not sample.items:
        raise CommandFailure(
            f"Table {table!r} has no items, so there is nothing to infer from.",
            hint="write some, or declare an Item class   (docs/items.md)",
        )
    from tailrace.columns.inference import infer

    inferred = infer(sample.items, table, tuple(name for name, _ in sample.keys), declared)
    if as_items:
        _print_items(table, sample, inferred, declared)
    elif as_json:
        click.echo(json.dumps(_value(table, sample, inferred)))
    else:
        _print(table, sample, inferred)


def _refuse_both(context: click.Context) -> None:
    """Refuse a table that is said to be at two places. Raises: UsageError."""
    for name, option in (("place", "--data"), ("url", "--url")):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{option} names a node, --endpoint and --region a server of tables: give one of them.",
                context,
            )


def _declared(app: str, table: str) -> "list[DeclaredEntity]":
    from tailrace.app.columns import declared_entities
    from tailrace.cli.loading import load

    tables = load(app).tables
    if table not in tables:
        raise CommandFailure(
            f"{app} declares no table {table!r}; there are: {', '.join(tables) or 'none'}.",
            hint=f"tailrace schema {table}   (without --app: all of it is inferred)",
        )
    return declared_entities(tables[table])


def _near(place: Place, table: str, most: int) -> Sample:
    values = answers(place, "items.sample", {"table": table, "limit": most}, endless=True)
    first = next(values)
    keys = [(key["name"], key["type"]) for key in first["keys"]]
    return Sample(keys, first["items"], [item for page in values for item in page["page"]])


def _far(table: str, endpoint_url: str | None, region: str | None, most: int) -> Sample:
    from tailrace.aws.places import Access
    from tailrace.aws.prices import item_read_price
    from tailrace.runtime.beside import waited_for
    from tailrace.sources.far_sample import sample_table

    sample = waited_for(sample_table(Access(region, endpoint_url), table, most))
    million = item_read_price(endpoint_url)
    return Sample(
        sample.keys, sample.count, sample.items, sample.read_units, sample.read_units / 1_000_000 * million
    )


# ---- output ------------------------------------------------------------------------------------------------


def _read_words(table: str, sample: Sample) -> str:
    """What was read, and what it cost.

    >>> _read_words("shop", Sample([], 90_000, [{}] * 10_000, 1_250.0, 0.00015625))
    'shop: 10,000 items read of about 90,000, 1,250.0 read units (about 0.0002 USD)'
    >>> _read_words("shop", Sample([], 2, [{}, {}], 0.5, 0.0000000625))
    'shop: 2 items read, 0.5 read units (less than 0.0001 USD)'
    """
    of_all = f" of about {sample.count:,}" if sample.count > len(sample.items) else ""
    cost = "" if sample.read_units is None else f", {sample.read_units:,.1f} read units"
    usd = ""
    if sample.usd:
        usd = " (less than 0.0001 USD)" if sample.usd < 0.0001 else f" (about {sample.usd:.4f} USD)"
    return f"{printable(table)}: {counted(len(sample.items), 'item')} read{of_all}{cost}{usd}"


def _print(table: str, sample: Sample, inferred: "Inferred") -> None:
    click.echo(_read_words(table, sample))
    if inferred.rules.attribute:
        click.echo(f"The attribute {printable(inferred.rules.attribute)} names the entity of an item.")
    for entity in inferred.entities:
        words = f"   {printable(entity.key_words)}" if entity.key_words else ""
        click.echo(f"\n{printable(entity.name)}   {counted(entity.items, 'item')}{words}")
        click.echo("\n".join(f"  {line}" for line in aligned(_rows(entity))))
        for attribute, examples in entity.examples.items():
            for example in examples:
                shown = json.dumps({"keys": example.keys, attribute: example.value}, ensure_ascii=False)
                cut = f"{shown[:LONGEST]}…" if len(shown) > LONGEST else shown
                click.echo(f"  does not fit: {printable(cut)}")


def _rows(entity: "EntitySample") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("COLUMN", "KIND", "IN", "DO NOT FIT", "ATTRIBUTE")]
    for column in entity.table.columns:
        conflicts = entity.conflicts.get(column.attribute, 0)
        rows.append(
            (
                printable(column.name),
                str(column.kind),
                _share(entity.having.get(column.attribute, 0), entity.items),
                f"{conflicts:,}" if conflicts else "-",
                "" if column.attribute == column.name else printable(column.attribute),
            )
        )
    return rows


def _share(part: int, whole: int) -> str:
    """
    >>> _share(1, 3), _share(1, 1000), _share(999, 1000), _share(0, 5), _share(5, 5)
    ('33%', '<1%', '>99%', '0%', '100%')
    """
    percent = round(100 * part / whole)
    if part and not percent:
        return "<1%"
    return ">99%" if part < whole and percent == 100 else f"{percent}%"


def _value(table: str, sample: Sample, inferred: "Inferred") -> dict[str, Any]:
    read = {
        "items": len(sample.items),
        "of": sample.count,
        "read_units": sample.read_units,
        "usd": sample.usd,
    }
    return {
        "table": table,
        "keys": [{"name": name, "type": type_} for name, type_ in sample.keys],
        "read": read,
        "type_attribute": inferred.rules.attribute,
        "entities": [_entity_value(entity) for entity in inferred.entities],
    }


def _entity_value(entity: "EntitySample") -> dict[str, Any]:
    return {
        "entity": entity.name,
        "name": entity.table.name,
        "keys": entity.key_words,
        "items": entity.items,
        "columns": [
            {
                "name": column.name,
                "attribute": column.attribute,
                "kind": str(column.kind),
                "items": entity.having.get(column.attribute, 0),
                "conflicts": entity.conflicts.get(column.attribute, 0),
                "examples": [
                    {"keys": example.keys, "value": example.value}
                    for example in entity.examples.get(column.attribute, ())
                ],
            }
            for column in entity.table.columns
        ],
    }


def _print_items(
    table: str, sample: Sample, inferred: "Inferred", declared: "Sequence[DeclaredEntity]"
) -> None:
    from tailrace.app.item_source import item_source
    from tailrace.columns.entities import EntitySorter

    rows = EntitySorter(inferred.rules, declared).rows_of(sample.items)
    known = {entity.name for entity in declared}
    wanted = {entity.name: rows[entity.name] for entity in inferred.entities if entity.name not in known}
    source = item_source(table, sample.keys, sample.items, wanted)
    click.echo(source.text, nl=False)
    click.echo(_read_words(table, sample), err=True)
    if source.unwritten:
        click.echo(f"{source.unwritten:,} of them have no class: the module says why.", err=True)
