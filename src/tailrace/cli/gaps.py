"""`tailrace gaps` and `tailrace gaps acknowledge`: what handlers never saw, and that it is known.

Rules of this file: options and output; the answer is the `gaps` verbs'. Registered in `main`.
"""

import json
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant
from tailrace.cli.place import Place
from tailrace.cli.status import aligned


class GapsGroup(click.Group):
    """Takes a handler's name where a group would want a command, so that `gaps receipt` goes on to work."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`acknowledge`, else the list."""
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "ls", self.commands["ls"], args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options alone are the list's."""
        if not {"--help", *self.commands} & set(args[:1]):
            args = ["ls", *args]
        return super().parse_args(ctx, args)


@click.group(cls=GapsGroup)
def gaps() -> None:
    """List changes that were trimmed before HANDLER, or any handler, read them; acknowledge them.

    A stream keeps its changes for 24 hours. What a handler has not handled by then is saved while a worker
    runs; a handler whose worker was away for longer has missed what fell out meanwhile. A gap stands in lag,
    in /ready and in the metrics until it is acknowledged.

    \b
    Example: tailrace gaps
             tailrace gaps receipt --json
             tailrace gaps acknowledge receipt
    Next:    tailrace status
    """


@gaps.command(hidden=True)
@click.argument("handler", required=False)
@options.options(*options.place_or_fleet, options.as_json)
def ls(handler: str | None, place: Place, as_json: bool) -> None:
    """List gaps. It exits with 1 when one is not acknowledged, so that a script can ask.

    \b
    Example: tailrace gaps receipt --json
    Next:    tailrace gaps acknowledge receipt
    """
    answer = ask(place, "gaps", {"handler": handler})
    if as_json:
        click.echo(json.dumps(answer))
    elif not answer:
        click.echo("No gap: whatever was trimmed had been read before.")
    else:
        tell(answer)
    if any(gap["acknowledged_ms"] is None for gap in answer):
        click.get_current_context().exit(1)


@gaps.command()
@click.argument("handler", required=False)
@click.option("--all", "every", is_flag=True, help="The gaps of all handlers.")
@click.option("--dry-run", is_flag=True, help="Say which gaps that would be, and do nothing.")
@options.options(*options.place_or_fleet, options.as_json)
def acknowledge(handler: str | None, every: bool, dry_run: bool, place: Place, as_json: bool) -> None:
    """Say that the gaps of HANDLER are known: they count in lag and /ready no more, and stay listed.

    It is audited. What was lost is not brought back by this: the table still has its items, and a projection
    is built anew from them by itself.

    \b
    Example: tailrace gaps acknowledge receipt
             tailrace gaps acknowledge --all
    Next:    tailrace audit
    """
    if (handler is None) == (not every):
        raise click.UsageError("Name a handler, or say --all.")
    answer = ask(place, "gaps.acknowledge", {"handler": handler, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    tell(answer)
    click.echo(
        f"{len(answer)} {'would be' if dry_run else 'are'} acknowledged."
        if answer
        else "There is no open gap."
    )


def tell(answer: list[dict[str, Any]]) -> None:
    """The gaps as a table."""
    rows: list[tuple[str, ...]] = [
        ("HANDLER", "TABLE", "SHARD", "FROM", "UNTIL", "FIRST", "LAST", "ACKNOWLEDGED")
    ]
    for gap in answer:
        times = ["?" if time is None else format_instant(time) for time in (gap["from_ms"], gap["until_ms"])]
        known = "no" if gap["acknowledged_ms"] is None else format_instant(gap["acknowledged_ms"])
        if gap.get("skipped"):
            known = f"{gap['skipped']} skipped {known}"
        rows.append(
            (
                printable(gap["handler"]),
                printable(gap["table"]),
                gap["shard"],
                *times,
                gap["first"],
                gap["last"],
                known,
            )
        )
    for text in aligned(rows) if answer else ():
        click.echo(text)
