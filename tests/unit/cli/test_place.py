"""Which node a command asks."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tailrace.cli import connection, options
from tailrace.cli.connection import ask
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import NodeAt, read_url
from tailrace.server import nodes


@click.command()
@options.options(*options.place)
def asked(place: Any) -> None:
    click.echo(f"{type(place).__name__} {place}")


def run(*arguments: str, **environment: str) -> str:
    return CliRunner().invoke(asked, arguments, env=environment).output.strip()


def test_what_is_typed_counts_before_the_environment() -> None:
    url = {"TAILRACE_URL": "http://localhost:8000"}
    assert run() == "PosixPath .tailrace"
    assert run(TAILRACE_DATA="d") == "PosixPath d"
    assert run(**url, TAILRACE_DATA="d") == "NodeAt http://localhost:8000"
    assert run("--data", "e", **url) == "PosixPath e"
    assert run("--url", "http://localhost:9000", **url, TAILRACE_DATA="d") == "NodeAt http://localhost:9000"


def test_two_places_on_one_command_line_are_refused() -> None:
    assert "give one of them" in run("--data", "d", "--url", "http://localhost:8000")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://10.0.0.5:8000", "10.0.0.5 is another machine"),
        ("http://db.example", "run the command there, with --url http://localhost:8000"),
        ("http://localhost", "names no port"),
        ("ftp://localhost:1", "no URL of a node"),
        ("http://localhost:many", "no URL"),
    ],
)
def test_what_is_no_node_of_this_machine_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        read_url(text)
    assert words in " ".join(run("--url", text).split())


def test_a_port_that_nothing_serves_says_so_and_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "candidates", lambda: iter(()))
    monkeypatch.setattr(connection, "_is_served", lambda port: False)
    with pytest.raises(CommandFailure, match="Nothing serves http://localhost:8000") as failure:
        ask(NodeAt("http://localhost:8000", 8000), "status")
    assert failure.value.hint == "tailrace serve --port 8000 --memory"
    monkeypatch.setattr(nodes, "running", lambda: [8001])
    with pytest.raises(CommandFailure, match="Yours: http://localhost:8001"):
        ask(NodeAt("http://localhost:8000", 8000), "status")


def test_a_port_of_somebody_else_is_told_from_one_that_nothing_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "candidates", lambda: iter(()))
    monkeypatch.setattr(connection, "_is_served", lambda port: True)
    with pytest.raises(CommandFailure, match="its own user alone"):
        ask(NodeAt("http://localhost:8000", 8000), "status")


def test_a_missing_directory_names_the_nodes_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "running", lambda: [8000])
    with pytest.raises(CommandFailure, match="There is no data directory") as failure:
        ask(tmp_path / "none", "status")
    assert "--url http://localhost:8000" in str(failure.value.hint)
