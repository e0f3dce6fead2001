"""`tailrace kcl`: what it says, and what it refuses on the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tailrace.cli.failures import CommandFailure
from tailrace.cli.kcl import kcl
from tailrace.cli.state import state
from tests.far_streams import FarTable, far
from tests.kcl_model import KclModel

APP = """
from tailrace import App, Change

app = App("shop")
orders = app.table("{table}", pk="pk")
users = app.table("{other}", pk="pk")


@app.on(orders)
def receipt(change: Change) -> None: ...


@app.on(orders)
def ledger(change: Change) -> None: ...


@app.on(users)
def welcome(change: Change) -> None: ...


@app.projection(orders, by="pk")
def totals(total: int, item: dict, sign: int) -> int:
    return total + sign
"""


class Line:
    """A command line, and a KCL consumer beside it that has processed one change of two."""

    def __init__(self, path: Path, table: FarTable, other: FarTable, endpoint: str) -> None:
        self.path, self.table, self.endpoint = path, table, endpoint
        (path / "shop.py").write_text(APP.format(table=table.name, other=other.name))
        self.state = f"sqlite:{path / 'state.db'}"
        CliRunner().invoke(state, ["create", self.state], catch_exceptions=False)
        self.leases = f"{table.name}-app"
        self.model = KclModel(table.served.port, self.leases, table.name, form="3.5")
        self.model.create()
        for place in range(2):
            table.put(f"item {place}", n={"N": str(place)})
        self.model.run(1)
        self.model.stop()

    def say(self, verb: str, *options: str) -> Result:
        """One command."""
        arguments = [
            verb, self.leases, "--app", str(self.path / "shop.py"), "--state", self.state, "--endpoint",
            self.endpoint, "--region", "us-east-1", "--look", "1ms", *options,
        ]  # fmt: skip
        return CliRunner().invoke(kcl, arguments)

    def ask(self, verb: str, *options: str) -> Any:
        """Its answer as JSON."""
        return json.loads(self.say(verb, "--json", *options).output.splitlines()[0])


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with far() as (served, access):
        assert access.endpoint_url is not None
        yield Line(tmp_path, FarTable(served), FarTable(served), access.endpoint_url)


def test_an_import_says_what_each_lease_becomes_and_a_dry_run_writes_nothing(line: Line) -> None:
    (shard,) = line.model.checkpoints()
    said = line.say("import", "--handler", "receipt", "--dry-run")
    assert said.exit_code == 0, said.output
    words = said.output.splitlines()
    assert words[0].endswith("KCL 3.5, 1 lease, 1 leader's lock, 1 migration of tables")
    assert "migration of tables: unknown" in words[1]
    assert words[2].split() == ["SHARD", "KCL", "SAYS", "OWNER", "HERE", "WHAT", "THAT", "MEANS"]
    assert words[3].split()[:2] == [shard, line.model.checkpoints()[shard]]
    assert "goes on behind" in words[3]
    assert words[-1] == "Nothing was written: the same without --dry-run does it."
    again = line.say("import", "--handler", "receipt")
    assert again.output.splitlines()[-1] == "receipt: 1 checkpoint written."


def test_an_import_for_several_handlers_of_a_table_gives_each_the_same(line: Line) -> None:
    told = line.ask("import", "--handler", "receipt", "--handler", "ledger")
    assert told["changed"] == {"receipt": 1, "ledger": 1}
    assert line.ask("import", "--handler", "receipt", "--handler", "ledger")["changed"] == {
        "receipt": 0,
        "ledger": 0,
    }


def test_an_import_that_is_refused_says_why_and_what_helps_and_ends_with_one(line: Line) -> None:
    (shard,) = line.model.checkpoints()
    line.model.checkpoint(shard, "LATEST")
    dry = line.say("import", "--handler", "receipt", "--dry-run")
    assert dry.exit_code == 1
    assert "refused" in dry.output
    assert "--begin now" in dry.output
    wet = line.say("import", "--handler", "receipt")
    assert isinstance(wet.exception, CommandFailure)
    assert "Nothing was written" in str(wet.exception)
    assert line.ask("import", "--handler", "receipt", "--begin", "beginning")["changed"] == {"receipt": 1}


def test_an_export_says_what_kcl_gets(line: Line) -> None:
    line.ask("import", "--handler", "receipt")
    said = line.say("export", "--handler", "receipt", "--dry-run")
    assert said.exit_code == 0, said.output
    assert "everything up to it is settled" in said.output
    told = line.ask("export", "--handler", "receipt", "--kcl", "3.5")
    assert (told["written"], told["changed_meanwhile"], told["dead_letters"]) == (1, [], [])
    (lease,) = told["leases"]
    assert lease["checkpoint"] == next(iter(line.model.checkpoints().values()))
    line.model.run()
    assert [number for _, number in line.model.seen] == [0, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Say which handler, with --handler: receipt, ledger, welcome."),
        (("--handler", "other"), "has no handler 'other'"),
        (("--handler", "totals"), "has no handler 'totals'"),
        (("--handler", "receipt", "--handler", "welcome"), "One move is of one table"),
        (("--handler", "receipt", "--begin", "soon"), "'soon' is not an instant"),
        (("--handler", "receipt", "--look", "soon"), "'soon' is not a duration"),
    ],
)
def test_wrong_usage_is_refused_by_name(line: Line, options: tuple[str, ...], words: str) -> None:
    said = line.say("import", *options)
    assert said.exit_code == 2
    assert words in " ".join(said.output.split())


def test_one_table_tells_of_one_consumer(line: Line) -> None:
    said = line.say("export", "--handler", "receipt", "--handler", "ledger")
    assert "several handlers are named" in str(said.exception)


def test_a_missing_lease_table_is_refused_by_its_name(line: Line) -> None:
    line.leases = "nowhere"
    for verb, words in (("import", "application's name"), ("export", "--create")):
        said = line.say(verb, "--handler", "receipt")
        assert "there is no table 'nowhere'" in str(said.exception)
        assert words in str(said.exception)
