"""Options that several commands share, so that they mean the same everywhere.

Rules of this file: declarations, and what reads their texts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tailrace.cli.durations import duration, instant, parse_duration
from tailrace.cli.place import chosen_endpoint, chosen_far, chosen_place, chosen_url, endpoint

if TYPE_CHECKING:
    from tailrace.engine.settings import KinesisFaults

Function = TypeVar("Function", bound=Callable[..., Any])
DEFAULT_DATA: Final = Path(".tailrace")


def kinesis_faults(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> "KinesisFaults | None":
    """0.2:5s:7 → what happens on the way into data streams. Raises: BadParameter with the form that works."""
    if value is None:
        return None
    from tailrace.engine.settings import KinesisFaults

    rate, _, rest = value.partition(":")
    late, _, seed = rest.partition(":")
    try:
        return KinesisFaults(float(rate), parse_duration(late or "5s"), int(seed or 0))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r}: {error.args[0]}; an example is 0.2:5s:7", context, parameter
        ) from None


data = click.option(
    "--data",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    envvar="TAILRACE_DATA",
    show_default="./.tailrace",
    help="The data directory; TAILRACE_DATA names it for every command.",
)
drain = click.option(
    "--drain",
    callback=duration,
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="How long the end may take. What has not ended then is told and left behind; its changes are "
    "delivered again.",
)
place = (
    click.option(
        "--data",
        "place",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_DATA,
        envvar="TAILRACE_DATA",
        show_default="./.tailrace",
        callback=chosen_place,
        help="The data directory; TAILRACE_DATA names it for every command.",
    ),
    click.option(
        "--url",
        metavar="URL",
        envvar="TAILRACE_URL",
        callback=chosen_url,
        expose_value=False,
        is_eager=True,
        help="A node of yours on this machine, also one with --memory: http://localhost:8000; "
        "TAILRACE_URL names it for every command.",
    ),
)
"""Which node is asked; a command gets it as `place`."""


def _of_fleet(name: str, metavar: str, help: str) -> Any:
    chosen = chosen_endpoint if metavar == "URL" else chosen_far
    return click.option(name, metavar=metavar, help=help, callback=chosen, expose_value=False, is_eager=True)


place_or_fleet = (
    *place,
    _of_fleet("--state", "TARGET", "A fleet's state, as `tailrace worker` was told it; then --app, too."),
    _of_fleet("--app", "APP", "With --state: the app whose workers they are."),
    _of_fleet("--endpoint", "URL", "With --state: where the tables are, if not at AWS."),
    _of_fleet("--region", "REGION", "With --state: the region of the tables."),
    _of_fleet("--state-endpoint", "URL", "With --state dynamodb:TABLE: if not that of the tables."),
)
"""The same, or a fleet that is asked from any machine that reaches its state."""
bucket = (
    click.option(
        "--endpoint",
        callback=endpoint,
        metavar="URL",
        help="Of s3://: another than AWS's, such as a MinIO of yours.",
    ),
    click.option("--region", metavar="REGION", help="Of s3://; else as the AWS CLI finds it."),
)
"""Where a bucket is, of commands that take `s3://`."""
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output only.")
log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on standard error is written.",
)
verbose = click.option(
    "--verbose",
    is_flag=True,
    help="Show the traceback of each new failure under its line; `tailrace why` shows it later.",
)


serving = (
    click.option(
        "--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: any free port."
    ),
    click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on."),
    data,
    click.option("--memory", is_flag=True, help="Keep everything in memory; nothing is written to disk."),
    click.option(
        "--sync",
        type=click.Choice(["normal", "full"]),
        default="normal",
        show_default=True,
        help="normal survives any crash of the process; full survives power loss.",
    ),
    click.option(
        "--checksums",
        type=click.Choice(["on", "off"]),
        default="on",
        show_default=True,
        help="on: what the disk damages is refused when it is read, and `tailrace check` finds what "
        "vanished. off: writes cost a little less.",
    ),
    click.option(
        "--clock",
        type=click.Choice(["system", "manual"]),
        default="system",
        show_default=True,
        help="manual: time stands still until `tailrace clock advance`.",
    ),
    click.option(
        "--clock-start", callback=instant, metavar="ISO", help="Where a manual clock stands at first."
    ),
    click.option(
        "--shards",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Shards of a new stream.",
    ),
    click.option(
        "--aws-delays", is_flag=True, help="Tables and data streams stay CREATING for as long as on AWS."
    ),
    click.option(
        "--shard-limits",
        is_flag=True,
        help="Shards of data streams take and give no more in a second than on AWS: what is more is refused.",
    ),
    click.option(
        "--kinesis-faults",
        callback=kinesis_faults,
        metavar="RATE[:LATE[:SEED]]",
        help="For trials: of the changes on their way from tables into data streams, RATE (0 to 1) come late "
        "by up to LATE (5s), and as many come again, as at AWS. None by default.",
    ),
    click.option(
        "--one-namespace",
        is_flag=True,
        help="All clients see the same tables, whatever region and account they name. For new data "
        "directories; those of before are so.",
    ),
    click.option("--cors", metavar="ORIGIN", help="Allow a web page of this origin; none by default."),
    click.option(
        "--allow-unsigned",
        is_flag=True,
        help="Listen beyond loopback although no signature is checked.",
    ),
    drain,
    log_format,
    verbose,
    as_json,
)
"""What every command that serves understands."""


def options(*declared: Any) -> Callable[[Function], Function]:
    """Apply several options, shown by --help in this order."""

    def apply(function: Function) -> Function:
        for option in reversed(declared):
            function = option(function)
        return function

    return apply
