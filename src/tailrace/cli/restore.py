"""`tailrace restore TIME --into TABLE`: write what a table was, into it or into another one.

Rules of this file: options, words, and what is asked first; what is written is journal/run/restoring.py's.
Nothing is made: a table that is not there is refused. Registered in `main`.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.changes import counted, key_text, printable
from tailrace.cli.failures import INTERRUPTED, CommandFailure
from tailrace.cli.hints import next_line
from tailrace.cli.loading import load
from tailrace.cli.past import Archived, advised, archived_table, key_in, of_app
from tailrace.cli.place import endpoint

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.aws.places import Access
    from tailrace.cli.telling import Bar
    from tailrace.journal.run.past import TableThen
    from tailrace.journal.run.restoring import RestoreReport


@click.command()
@click.argument("time")
@click.option("--into", required=True, metavar="TABLE", help="The table that is written; it must be there.")
@click.option("--from", "source", metavar="TABLE", help="Whose past, where several tables have a journal.")
@click.option(
    "--keys", multiple=True, metavar="TABLE/KEY", help="Only these items, as `tailrace why` takes them."
)
@click.option(
    "--overwrite", is_flag=True, help="Replace items that are others now; else they are left and named."
)
@click.option(
    "--trigger", is_flag=True, help="Write although the app's handlers of that table will be called."
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--endpoint", callback=endpoint, metavar="URL", help="Where the table is, if not at AWS.")
@click.option("--region", metavar="REGION", help="The region of the table.")
@options.options(of_app, options.as_json)
def restore(
    time: str,
    into: str,
    source: str | None,
    keys: tuple[str, ...],
    overwrite: bool,
    trigger: bool,
    dry_run: bool,
    yes: bool,
    endpoint: str | None,
    region: str | None,
    app: str,
    as_json: bool,
) -> None:
    """Write the items that a table had at TIME into TABLE.

    Items that are there already as they were are passed over, so it can be repeated, and goes on where it
    was cut off. Every write is conditional: whoever writes meanwhile wins. An item that is another one now is
    left and named, unless with --overwrite; items that came later stay, but for those of --keys. It is read
    and written through DynamoDB's API, one read and at most one write an item. A table whose changes the
    app's handlers take is refused, unless with --trigger; handlers of other apps are not known here.

    \b
    Example: tailrace restore 2026-10-31T23:59Z --into orders-restored --app app.py --dry-run
             tailrace restore 2026-10-31T23:59Z --into orders --keys orders/o1 --overwrite --app app.py
    Next:    tailrace as-of TIME TABLE --app app.py
    """
    from tailrace.app.moments import moment_us
    from tailrace.cli.running import run_loop
    from tailrace.cli.worker import require_aws
    from tailrace.journal.run.restoring import RestoreReport

    at_us, loaded = moment_us(time), load(app)
    archived = archived_table(loaded, app, source)
    check_handlers(loaded, app, into, region or loaded.region, trigger=trigger)
    require_aws()
    chosen = [*dict.fromkeys(key_in(archived.schema, key) for key in keys)]
    asked = _RestoreChoices(into, at_us, chosen, overwrite, dry_run, yes, as_json)
    report = RestoreReport()
    try:
        run_loop(_restore(archived, asked, endpoint, region or loaded.region, report))
    except KeyboardInterrupt:
        tell_cut_off(report, asked)
        click.get_current_context().exit(INTERRUPTED)


class _RestoreChoices:
    """What was typed. Shape: `ttl` is the attribute of the table by which Time to Live deletes, "" none;
    `expired` how many items it would delete at once.
    """

    def __init__(
        self,
        into: str,
        at_us: int,
        keys: list[bytes],
        overwrite: bool,
        dry_run: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        self.into = into
        self.at_us = at_us
        self.keys = keys
        self.overwrite = overwrite
        self.dry_run = dry_run
        self.yes = yes
        self.as_json = as_json
        self.ttl = ""
        self.expired = 0

    def look_at(self, image: bytes | None, now_ms: int) -> None:
        """Count an item that Time to Live will delete at once."""
        from tailrace.tables.ttl import due_ms, is_expired

        if self.ttl and image is not None:
            self.expired += is_expired(due_ms(json.loads(image), self.ttl), now_ms)


def check_handlers(app: "App", named: str, into: str, region: str, *, trigger: bool) -> None:
    """Refuse a table whose handlers would be called. Raises: CommandFailure."""
    from tailrace.app.unmatched import unmatched_id
    from tailrace.journal.core.places import journaled_table

    def place(name: str, of: str) -> tuple[str, str]:
        """A table by whichever of its names: DynamoDB takes an ARN too."""
        table = journaled_table(name, of)
        return table.region, table.name

    called = [
        mapping.id
        for mapping in app.mappings
        if place(mapping.table.name, app.region) == place(into, region)
        and mapping.kind != "archive"
        and mapping.id != unmatched_id(mapping.table.name)
    ]
    if called and not trigger:
        raise CommandFailure(
            f"{named} has handlers of table {into}, which would be called for every item that is written: "
            f"{', '.join(map(printable, called))}.",
            hint="restore into a table of its own, or add --trigger",
        )


async def _restore(
    archived: Archived,
    asked: _RestoreChoices,
    endpoint_url: str | None,
    region: str,
    report: "RestoreReport",
) -> None:
    from tailrace.aws.places import Access
    from tailrace.cli.telling import Bar
    from tailrace.clocks.system import SystemClock
    from tailrace.journal.run.restoring import Restorer
    from tailrace.sinks.dynamodb_door import DynamoDbDoor

    access = Access(region, endpoint_url)
    door, clock = DynamoDbDoor(access), SystemClock()
    await check_table(access, archived, asked.into)
    asked.ttl = await ttl_of(access, asked.into)
    then = await archived.reader.at(asked.at_us)
    with advised("--keys TABLE/KEY writes only items that you name; or name another time"):
        report.total = len(asked.keys) or await then.count()
    if not asked.as_json:
        _announce(asked, report.total, then.later)
    restorer = Restorer(
        door.begin,
        asked.into,
        archived.schema,
        clock,
        overwrite=asked.overwrite,
        dry_run=asked.dry_run,
        report=report,
    )
    with Bar("comparing" if asked.dry_run else "restoring", quiet=asked.as_json) as bar:
        await restorer.restore(_told(_items(then, asked), asked, clock.now().wall_ms, report, bar))
    _tell(report, asked)


async def check_table(access: "Access", archived: Archived, into: str) -> None:
    """Require a table with these keys. Raises: CommandFailure, ApiError, SinkOutage."""
    from tailrace.aws.client import call
    from tailrace.aws.errors import AwsError, api_error

    try:
        described = (await call(access, "dynamodb", "describe_table", {"TableName": into}))["Table"]
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise api_error(error) from error
        raise CommandFailure(
            f"There is no table {printable(into)} there.",
            hint="make it with the same keys, then: tailrace restore TIME --into TABLE --app APP",
        ) from error
    kinds = {one["AttributeName"]: one["AttributeType"] for one in described["AttributeDefinitions"]}
    keys = [(one["AttributeName"], kinds[one["AttributeName"]]) for one in described["KeySchema"]]
    schema = archived.schema
    wanted = list(zip(schema.key_names, (schema.hash_type, schema.range_type), strict=False))
    if keys != wanted:
        raise CommandFailure(
            f"Table {printable(into)} has other keys ({_keys(keys)}) than {schema.name} ({_keys(wanted)})."
        )


async def ttl_of(access: "Access", into: str) -> str:
    """The attribute by which Time to Live deletes items of a table; "": none, or that may not be asked."""
    from tailrace.aws.client import call
    from tailrace.aws.errors import AwsError

    try:
        answer = await call(access, "dynamodb", "describe_time_to_live", {"TableName": into})
    except AwsError:
        return ""
    told = answer["TimeToLiveDescription"]
    is_on = told.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    return str(told.get("AttributeName", "")) if is_on else ""


def _keys(keys: Any) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in keys)


def _announce(asked: _RestoreChoices, total: int, later: str) -> None:
    """Say what it will do, and ask. Raises: Abort, CommandFailure."""
    from tailrace.journal.core.moment import spoken

    verb = "would be compared" if asked.dry_run else "is written" if total == 1 else "are written"
    others = "replaced" if asked.overwrite else "left"
    click.echo(
        f"{counted(total, 'item')} as of {spoken(asked.at_us)} {verb} into {printable(asked.into)}; what is "
        f"there as it was is passed over, what differs is {others}",
        err=True,
    )
    if later:
        click.echo(f"  {later}", err=True)
    if asked.dry_run or asked.yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailure("Nobody is here to be asked.", hint="the same command with --yes, or --dry-run")
    click.confirm("Begin?", abort=True, err=True)


async def _items(then: "TableThen", asked: _RestoreChoices) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """What is restored. Raises: NotKnown, Unavailable."""
    from tailrace.errors import NotKnown

    if not asked.keys:
        async for item in then.items():
            yield item
    for key in asked.keys:
        state = await then.state(key)
        if not state.is_known:
            raise NotKnown(f"{then.name}: {state.unknown}", hint="tailrace history TABLE/KEY --app APP")
        yield key, state.item


async def _told(
    items: AsyncIterator[tuple[bytes, bytes | None]],
    asked: _RestoreChoices,
    now_ms: int,
    report: "RestoreReport",
    bar: "Bar",
) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """The same, while it is said how far it is."""
    async for item in items:
        asked.look_at(item[1], now_ms)
        yield item
        bar.show(report.done, report.total)


def tell_cut_off(report: "RestoreReport", asked: _RestoreChoices) -> None:
    """Say how far a restore was that Ctrl-C has ended, and what goes on."""
    from tailrace.journal.run.restoring import AT_ONCE

    if asked.as_json:
        click.echo(json.dumps({**_counts(report, asked), "total": report.total, "cut_off": True}))
    elif report.done:
        what = "nothing was written" if asked.dry_run else f"{report.written:,} of them were written"
        click.echo(f"\ncut off after {report.done:,} of {counted(report.total, 'item')}: {what}", err=True)
        if not asked.dry_run:
            click.echo(f"  of up to {AT_ONCE} more that were on their way nothing is known", err=True)
        click.echo(next_line("the same command again: it passes over what is as it was"), err=True)


def _counts(report: "RestoreReport", asked: _RestoreChoices) -> dict[str, Any]:
    left = [dict(key) for key in report.left]
    counts = dict(report.counts)
    return {"dry_run": asked.dry_run, "counts": counts, "left": left, "expired": asked.expired}


def _tell(report: "RestoreReport", asked: _RestoreChoices) -> None:
    counts = report.counts
    if asked.as_json:
        click.echo(json.dumps(_counts(report, asked)))
    else:
        would = "would be " if asked.dry_run else ""
        click.echo(
            f"{would}put {counts['put']:,}, {would}replaced {counts['replace']:,}, {would}deleted "
            f"{counts['delete']:,}; as they were {counts['same']:,}; left {counts['differs']:,}, "
            f"overtaken {counts['overtaken']:,}"
        )
        if asked.expired:
            click.echo(
                f"  Time to Live deletes {counted(asked.expired, 'item')} of these: {printable(asked.ttl)} "
                "is over. Turn it off first, or restore into a table without"
            )
        for key in report.left:
            click.echo(f"  left: {key_text(key)}")
        if more := counts["differs"] + counts["overtaken"] - len(report.left):
            click.echo(f"  … and {more:,} more")
        if counts["differs"]:
            click.echo(next_line("the same command with --overwrite replaces them"))
        elif counts["overtaken"]:
            click.echo(next_line("the same command again: somebody wrote them meanwhile"))
    if counts["differs"] or counts["overtaken"]:
        click.get_current_context().exit(1)
