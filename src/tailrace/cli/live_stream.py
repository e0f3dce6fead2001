"""Where commands about the past find the live stream of a table, behind what its journal has.

Theory of operation: a journal is its files, and is asked without anybody. Where a node of this user runs in
the data directory, its engine tells the rest, and an endpoint does where one was typed. A node that runs
there by chance, with another table of that name, is told from the journal's own by the names of its streams.
Rules of this file: options and what they mean; nobody is waited for who does not answer. Called by past.py.
"""

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from tailrace.cli import options
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import NodeAt, Place, StateAt, endpoint

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.journal.run.opened_past import LiveStream

PATIENCE_S: Final = 10.0
stream_of = (
    *options.place,
    click.option(
        "--endpoint",
        callback=endpoint,
        metavar="URL",
        help="Read on in the table's stream there: DynamoDB's, or a server like it.",
    ),
    click.option("--region", metavar="REGION", help="The same at AWS, in this region."),
    click.option("--no-stream", is_flag=True, help="The journal alone."),
)
"""Where the live stream is; a command gets it as `place`, `endpoint`, `region` and `no_stream`."""


class StreamPlace(NamedTuple):
    """What was typed about it."""

    place: Place
    endpoint: str | None
    region: str | None
    no_stream: bool


def live_stream(app: "App", typed: StreamPlace) -> "LiveStream | None":
    """The stream that is at hand; None: there is none. Raises: CommandFailure."""
    if typed.no_stream:
        return None
    if typed.endpoint is not None or typed.region is not None:
        return _far(typed.endpoint, typed.region or app.region)
    return _of_node(typed.place)


def _far(endpoint_url: str | None, region: str) -> "LiveStream":
    from tailrace.cli.worker import require_aws

    require_aws()
    from tailrace.aws.places import Access
    from tailrace.clocks.system import SystemClock
    from tailrace.compose_fleet import far_pacer
    from tailrace.runtime.paced_log import PacedLog
    from tailrace.sources.dynamodb_streams import DynamoDbStreamsLog

    clock = SystemClock()
    asked = DynamoDbStreamsLog(Access(region, endpoint_url), clock)
    return _stream(PacedLog(asked, clock, far_pacer("past")))


def _of_node(place: Place) -> "LiveStream | None":
    from tailrace.cli.connection import connect
    from tailrace.cli.node_log import NodeLog

    assert not isinstance(place, StateAt)
    if not isinstance(place, NodeAt):
        try:
            connection = connect(place, time.monotonic()) if place.is_dir() else None
        except CommandFailure as error:  # it starts or stops, or has no socket
            click.echo(f"  the live stream was not read: {error.args[0]}", err=True)
            return None
        if connection is None:
            return None
        connection.close()
    return _stream(NodeLog(place))


def _stream(log: Any) -> "LiveStream":
    from tailrace.clocks.system import SystemClock
    from tailrace.journal.run.opened_past import LiveStream
    from tailrace.journal.run.tail import TailBounds

    bounds = TailBounds(patience_s=PATIENCE_S, is_sure=False)
    return LiveStream(log, SystemClock(), bounds, warned=lambda words: None)  # the commands say it
