"""What a command shows of the next one can be pasted: of a fleet with the options that say which one."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from tailrace.cli.hints import NEVER_AFAR, hint_of
from tailrace.cli.main import COMMANDS, cli, run
from tests.fleet import ENVIRONMENT, Fleet, fleet

FAR = ["--state", "sqlite:my state.db", "--app", "app.py", "--endpoint", "http://127.0.0.1:1"]
PASTED = "--state 'sqlite:my state.db' --app app.py --endpoint http://127.0.0.1:1"


def leaves(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            following = command.get_command(context, name)
            assert following is not None
            yield from leaves(following, (*words, name))
    else:
        yield words, command


def asks_fleets(command: click.Command, words: tuple[str, ...]) -> bool:
    return ".".join(words) not in NEVER_AFAR and {"place", "state", "app"} <= {
        parameter.name for parameter in command.params
    }


AFAR = {words: command for words, command in leaves(cli) if asks_fleets(command, words)}
OTHERS = {words for words, command in leaves(cli) if not asks_fleets(command, words)}


@pytest.mark.parametrize("words", sorted(AFAR), ids=" ".join)
def test_each_command_that_asks_a_fleet_gets_its_options_and_can_be_typed(words: tuple[str, ...]) -> None:
    completed = hint_of(f"first `tailrace {' '.join(words)} NAME`; then look", ["status", *FAR], cli)
    assert completed == f"first `tailrace {' '.join(words)} {PASTED} NAME`; then look"
    typed = re.findall("`tailrace (.*)`", completed)[0]
    typed = shlex.split(typed)[len(words) : -1]
    AFAR[words].make_context(words[-1], typed, resilient_parsing=True)
    assert hint_of(completed, FAR, cli) == completed, "it has them already"


@pytest.mark.parametrize("words", sorted(OTHERS), ids=" ".join)
def test_a_command_that_asks_no_fleet_stays_as_it_is(words: tuple[str, ...]) -> None:
    hint = f"tailrace {' '.join(words)} NAME"
    assert hint_of(hint, FAR, cli) == hint


def test_groups_help_prose_and_what_was_typed_in_one_word() -> None:
    assert hint_of("tailrace gaps note, then tailrace gaps", FAR, cli) == (
        f"tailrace gaps {PASTED} note, then tailrace gaps {PASTED}"
    )
    for hint in ("tailrace dlq --help", "tailrace status --help", "start tailrace again", "tailrace nothing"):
        assert hint_of(hint, FAR, cli) == hint
    assert hint_of("tailrace status", ["x", "--state=sqlite:s", "--app=a.py"], cli) == (
        "tailrace status --state sqlite:s --app a.py"
    )
    assert hint_of("tailrace status", ["worker", "app.py", "--state", "sqlite:s"], cli) == "tailrace status"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as ground:
        ground.create_state()
        ground.create_table()
        yield ground


ANSWERS = {
    ("audit",),
    ("top",),
    ("status",),
    ("leases", "ls"),
    ("dlq", "ls"),
    ("projection", "ls"),
    ("mapping", "ls"),
    ("sink", "ls"),
}
"""Commands that have an answer for whatever is there."""


def typed(words: tuple[str, ...], command: click.Command) -> list[str]:
    """A command line that names what is not there."""
    line = list(words)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            line.append({"position": "end"}.get(parameter.name or "", "nowhere"))
    return line


@pytest.mark.parametrize("words", sorted(AFAR.keys() - ANSWERS), ids=" ".join)
def test_the_hint_of_every_verb_that_fails_names_the_fleet(
    words: tuple[str, ...], ground: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ground.path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEEN", str(ground.seen))
    place = [*ground.state, "--app", "app.py", "--endpoint", ground.endpoint]
    more = {("leases", "release"): ["--watch", "1ms"], ("dlq", "drop"): ["--all"]}.get(words, [])
    assert run([*typed(words, AFAR[words]), *more, *place, "--json"]) == 1
    error: dict[str, Any] = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    commands = re.findall(r"tailrace [a-z][a-z -]*[a-z]", error["hint"])
    asking = [
        command
        for command in commands
        if tuple(command.split()[1:3]) in AFAR or command.split()[1] in COMMANDS
    ]
    assert asking, error
    assert error["hint"].count(shlex.join(place)) == len(asking), error
