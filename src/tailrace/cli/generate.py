"""`tailrace generate alerts`: files for what stands beside tailrace, written from what it says of itself.

Rules of this file: options and output; what is written is alerts/core/rules.py's. It asks nothing and opens
nothing. Registered in `main`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tailrace.cli.durations import duration
from tailrace.cli.failures import CommandFailure
from tailrace.cli.group import CommandGroup


def _bound(name: str, default: str, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        name, callback=duration, metavar="DURATION", default=default, show_default=True, help=help
    )


@click.group(cls=CommandGroup)
def generate() -> None:
    """Write files for what stands beside tailrace.

    \b
    Example: tailrace generate alerts --out tailrace.rules.yml
    Next:    promtool check rules tailrace.rules.yml
    """


@generate.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; else it is printed.")
@_bound("--late", "15m", "Lag above it is late.")
@_bound("--stuck", "10m", "Not moved for longer is stuck.")
@_bound("--left", "4h", "Less until the trim is an alert.")
@_bound("--quiet", "15m", "So long dead letters count as new, and errors are counted together.")
@_bound("--parked", "1h", "An item that is parked for longer is an alert.")
@click.option(
    "--errors",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="More of a handler's calls that fail are an alert.",
)
@click.option(
    "--budget", type=click.FloatRange(0), metavar="USD", help="A month, for reads of streams; else no rule."
)
def alerts(out: Path | None, **bounds: Any) -> None:
    """Write the rules of Prometheus for everything that `app.alerts` tells, and what workers tell as numbers.

    They are made of the metrics that each node and worker answers at /metrics, and of their absence: a fleet
    that is gone tells nothing.

    \b
    Example: tailrace generate alerts --out tailrace.rules.yml
    Next:    promtool check rules tailrace.rules.yml
    """
    from tailrace.alerts.core.rules import RuleBounds, rules_file

    errors, budget = bounds.pop("errors") / 100, bounds.pop("budget")
    seconds = {name: max(1, milliseconds // 1_000) for name, milliseconds in bounds.items()}
    text = rules_file(RuleBounds(**seconds, errors=errors, budget=budget))
    if out is None:
        click.echo(text, nl=False)
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandFailure(
                f"{out} cannot be written: {error.strerror or error}.",
                hint="tailrace generate alerts --out FILE, in a directory that you may write to",
            ) from error
        click.echo(f"wrote {out}", err=True)
