"""`tailrace state create` and `tailrace state check`: the place where a fleet's workers keep their state.

Rules of this file: options and output; what a place is found to be is said by stores/state_targets.py.
Registered in `main`. Needs no data directory.
"""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import endpoint as endpoint_url

if TYPE_CHECKING:
    from tailrace.stores.state_targets import StateTarget
    from tailrace.stores.verdicts import PlaceVerdict

target_options = (
    click.option(
        "--endpoint",
        callback=endpoint_url,
        metavar="URL",
        help="Of dynamodb:TABLE: another endpoint than AWS's, such as a `tailrace serve`.",
    ),
    click.option(
        "--region", metavar="REGION", help="Of dynamodb:TABLE: its region; else as the AWS CLI finds it."
    ),
)


@click.group(cls=CommandGroup)
def state() -> None:
    """Make, or judge, the place where workers keep what they know: leases, checkpoints, dead letters.

    All workers of an app share one place, and several apps may share it. It is made by `create`, never by a
    worker: a mistyped name must not become a second state.

    \b
    dynamodb:TABLE                  a table at AWS, on demand; --region, --endpoint
    postgres://USER@HOST/DATABASE   two tables; the password comes from ~/.pgpass or PGPASSWORD
    sqlite:PATH                     a file, for several workers of one machine

    \b
    Example: tailrace state create dynamodb:tailrace-state --dry-run
             tailrace state create postgres://tailrace@db.example/shop
    Next:    tailrace state check dynamodb:tailrace-state
    """


@state.command()
@click.argument("target")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@options.options(*target_options, options.as_json)
def create(target: str, dry_run: bool, endpoint: str | None, region: str | None, as_json: bool) -> None:
    """Make TARGET where nothing is; leave alone what is there. It may be repeated.

    Anything but state of this version is refused, and stays as it is: a table with other keys, rows of
    something else, an older or a newer format.

    \b
    Example: tailrace state create dynamodb:tailrace-state --region eu-west-1
             tailrace state create postgres://tailrace@db.example/shop --dry-run
             tailrace state create sqlite:/var/lib/tailrace/state.db
    Next:    tailrace state check dynamodb:tailrace-state
    """
    place = _place(target, endpoint, region)
    before = asyncio.run(place.judge())
    if dry_run or before.finding != "absent":
        _tell(before, as_json, would=place.plan() if before.finding == "absent" else "")
        if not before.is_ready and before.finding != "absent":
            click.get_current_context().exit(1)
        return
    verdict = asyncio.run(place.create())
    verdict.refuse()
    _tell(verdict, as_json, was_made=True)


@state.command()
@click.argument("target")
@options.options(*target_options, options.as_json)
def check(target: str, endpoint: str | None, region: str | None, as_json: bool) -> None:
    """Say whether workers can keep their state in TARGET. It changes nothing, and exits with 1 when they
    cannot.

    \b
    Example: tailrace state check dynamodb:tailrace-state --json
             tailrace state check sqlite:/var/lib/tailrace/state.db
    Next:    tailrace state create dynamodb:tailrace-state
    """
    verdict = asyncio.run(_place(target, endpoint, region).judge())
    _tell(verdict, as_json)
    if not verdict.is_ready:
        click.get_current_context().exit(1)


def _place(target: str, endpoint: str | None, region: str | None) -> "StateTarget":
    from tailrace.stores.state_targets import state_target

    return state_target(target, region=region, endpoint_url=endpoint)


def _tell(verdict: "PlaceVerdict", as_json: bool, *, would: str = "", was_made: bool = False) -> None:
    if as_json:
        answer: dict[str, Any] = {
            "target": verdict.target,
            "finding": verdict.finding,
            "words": verdict.words,
            "hint": verdict.hint,
            "figures": dict(verdict.figures),
            "made": was_made,
            "would": would,
        }
        click.echo(json.dumps(answer))
        return
    color = "green" if verdict.is_ready else "yellow"
    figures = ", ".join(f"{name} {value}" for name, value in verdict.figures.items() if name != "format")
    details = f" ({figures})" if figures else ""
    mark = "made" if was_made else verdict.finding
    click.echo(f"{click.style(mark, fg=color, bold=True)}  {verdict.target}: {verdict.words}{details}")
    if would:
        click.echo(f"It would make:\n{would}")
    elif verdict.hint:
        click.echo(f"  {click.style('next:', fg='cyan')} {verdict.hint}")
