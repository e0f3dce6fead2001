"""Which node a command asks: the one that has a data directory, or the one that serves a URL of this machine;
or a fleet, by the state that its workers share.

Rules of this file: what was typed, made a place; nothing is opened or asked. `--data` and `--url` each name
one: what is typed counts before what the environment says, and `--url` before `--data` there. Used by the
options of every command that asks.
"""

import shlex
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import click
from click.core import ParameterSource
from msgspec import Struct

from tailrace.cli.failures import CommandFailure

if TYPE_CHECKING:
    from tailrace.aws.places import Access

URL = "tailrace.url"
"""Where the context keeps what --url said until --data is read."""
STATE = "tailrace.state"
"""Where it keeps what is said of a fleet's state, by the option's name."""


class NodeAt(Struct, frozen=True):
    """The node that serves this URL, on this machine."""

    url: str
    port: int

    def __str__(self) -> str:
        return self.url


class StateAt(Struct, frozen=True):
    """The state of a fleet, and where the tables are whose handlers keep it. Shape: `app` is a file or a
    name.
    """

    state: str
    app: str
    endpoint: str | None = None
    region: str | None = None
    state_endpoint: str | None = None

    def __str__(self) -> str:
        return self.state

    @property
    def options(self) -> str:
        """What is typed to name it."""
        named = {"state": self.state, "app": self.app, "endpoint": self.endpoint, "region": self.region}
        typed = {**named, "state-endpoint": self.state_endpoint}
        return " ".join(f"--{name} {shlex.quote(value)}" for name, value in typed.items() if value)


def state_place(
    state: str, state_endpoint: str | None, tables: "Access"
) -> tuple[dict[str, str | None], bool]:
    """Region and endpoint of a state, and whether it is a table beside these. Raises: CommandFailure."""
    if not state.startswith("dynamodb:"):
        if state_endpoint is not None:
            raise CommandFailure("--state-endpoint is of --state dynamodb:TABLE alone.")
        return {}, False
    endpoint = state_endpoint or tables.endpoint_url
    return {"region": tables.region, "endpoint_url": endpoint}, endpoint == tables.endpoint_url


Place: TypeAlias = Path | NodeAt | StateAt


def read_url(text: str) -> NodeAt:
    """The node behind a URL. Raises: ValueError in words for people.

    >>> read_url("http://localhost:8000").port, read_url("127.0.0.1:8001").url, str(read_url("http://[::1]:8002/"))
    (8000, 'http://127.0.0.1:8001', 'http://[::1]:8002')
    """
    example = "write it as the node prints it, like http://localhost:8000"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError(f"{text!r} is no URL: {example}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{text!r} is no URL of a node: {example}")
    if not _is_here(host):
        raise ValueError(
            f"{host} is another machine, and a node answers its commands on its own alone: run the command "
            f"there, with --url http://localhost:{port or 8000}"
        )
    if port is None:
        raise ValueError(f"{text!r} names no port: {example}")
    return NodeAt(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}", port)


def chosen_url(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """A click callback: keeps the node that --url names. Raises: BadParameter."""
    try:
        context.meta[URL] = read_url(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def endpoint(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback: the URL of a service. Raises: BadParameter for a text without scheme or host."""
    if value is not None:
        try:
            parts = urlsplit(value)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            words = f"{value!r} is no URL of an endpoint: write it like http://localhost:8000"
            raise click.BadParameter(words, context, parameter)
    return value


def chosen_endpoint(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """A click callback: the same, kept for a fleet's state. Raises: BadParameter."""
    chosen_far(context, parameter, endpoint(context, parameter, value))


def chosen_far(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """A click callback: keeps what --state, --app, --endpoint, --region and --state-endpoint say."""
    assert parameter.name is not None
    context.meta.setdefault(STATE, {})[parameter.name] = value


def _far(context: click.Context) -> StateAt | None:
    """The fleet's state that was typed; None: none was. Raises: UsageError when a part of it is missing."""
    typed: dict[str, str | None] = {
        name: value for name, value in context.meta.get(STATE, {}).items() if value is not None
    }
    if not typed:
        return None
    if not (typed.get("state") and typed.get("app")):
        raise click.UsageError(
            "A fleet is asked with --state TARGET and --app APP together, as its workers were started.",
            context,
        )
    for name in ("place", "url"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "--state names a fleet, --data and --url a node: give one of them.", context
            )
    return StateAt(**typed)  # type: ignore[arg-type]


def chosen_place(context: click.Context, parameter: click.Parameter, value: Path) -> Place:
    """A click callback of --data, after --url: the chosen one. Raises: UsageError when both were typed."""
    far = _far(context)
    if far is not None:
        return far
    node: NodeAt | None = context.meta[URL]
    if node is None:
        return value
    assert parameter.name is not None
    if context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
        if context.get_parameter_source("url") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                "--data and --url both say which node is asked: give one of them.", context
            )
        return value
    return node


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return False
