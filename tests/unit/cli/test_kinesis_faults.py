"""`--kinesis-faults` as people type it: parts that are left out, and what is no such text."""

import click
import pytest
from click.testing import CliRunner

from tailrace.cli.main import cli
from tailrace.cli.options import kinesis_faults
from tailrace.engine.settings import KinesisFaults


def read(text: str | None) -> KinesisFaults | None:
    """What the option means."""
    return kinesis_faults(click.Context(cli), click.Option(["--kinesis-faults"]), text)


def test_what_is_left_out_has_a_meaning() -> None:
    assert read(None) is None
    assert read("0.2") == KinesisFaults(0.2, 5_000, 0)
    assert read("0.2:15m") == KinesisFaults(0.2, 900_000, 0)
    assert read("1:15m:7") == KinesisFaults(1, 900_000, 7)


@pytest.mark.parametrize("text", ["", "often", "1.1", "nan", "0.2:late", "0.2:2h", "0.2:5s:x", "0.2:5s:7:8"])
def test_what_cannot_be_read_is_a_usage_error_with_an_example(text: str) -> None:
    run = CliRunner().invoke(cli, ["serve", "--memory", "--kinesis-faults", text])
    assert run.exit_code == 2
    assert "an example is 0.2:5s:7" in run.output
