"""The list of commands and how a command line fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tailrace.cli import main as command_line
from tailrace.cli.failures import CommandFailure, report
from tailrace.cli.main import COMMANDS, LazyGroup, run
from tests.patience import PATIENCE_S


def test_help_lists_every_command_and_begins_with_the_first_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.index("tailrace demo ") < text.index("tailrace dev")
    assert all(f"\n  {name} " in text for name in COMMANDS)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_the_help_of_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: tailrace {name.split()[0]}" in text or "Example: tailrace serve --clock manual" in text
    assert "Next:" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serv"], "Did you mean `tailrace serve`?"),
        (["statsu"], "Did you mean `tailrace status`?"),
        (["zzz"], "There are: demo, serve"),
        (["tail"], "TABLE"),
        (["status", "--jsn"], "--jsn"),
        (["clock", "advance", "25"], "write a number and a unit, like 90s"),
        (["clock", "set", "soon"], "ISO 8601"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "next: tailrace" in captured.err
    assert "Traceback" not in captured.err


def test_an_error_with_json_is_one_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json", "--data", "not-there"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    error = json.loads(captured.err)["error"]
    assert error["message"] == "There is no data directory not-there."
    assert error["hint"].startswith("tailrace serve --data not-there")  # and the nodes of this machine


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CommandFailure("It is gone.", hint="tailrace status"), 1, "next: tailrace status"),
        (click.ClickException("no"), 1, "error: no"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
)
def test_every_failure_has_its_exit_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, []) == code
    assert text in capsys.readouterr().err


def test_a_fault_of_ours_hides_its_trace_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TAILRACE_TRACEBACK", raising=False)
    assert report(ZeroDivisionError("by zero"), []) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    path = shown.split("The trace is in ")[1].split(".log")[0] + ".log"
    with open(path) as log:
        assert "ZeroDivisionError: by zero" in log.read()


def test_the_trace_is_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_TRACEBACK", "1")
    assert report(ZeroDivisionError("by zero"), []) == 1
    assert "ZeroDivisionError: by zero" in capsys.readouterr().err


def test_the_list_of_commands_imports_none_of_them() -> None:
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from tailrace.cli.main import run; run(['--help'])\n"
            "print([m for m in sys.modules if m in ('asyncio', 'rich', 'orjson', 'prometheus_client')])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.endswith("[]\n")


def test_every_listed_command_can_be_imported() -> None:
    group = command_line.cli
    assert isinstance(group, LazyGroup)
    context = click.Context(group)
    for name in COMMANDS:
        if name != "demo":
            assert group.get_command(context, name) is not None


def test_what_an_encoding_does_not_have_is_written_escaped_and_ends_no_command(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from tailrace import App, Change\n"
        "app = App('shop')\n"
        "@app.on(app.table('orders', pk='id'))\n"
        "def note(change: Change) -> None: ...\n"
    )
    answer = subprocess.run(
        [sys.executable, "-m", "tailrace", "explain", "--on", "lambda", "app.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert rb"note \u2190 orders: runs" in answer.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says otherwise that a pipe is closed")
@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["coverage"], ["coverage", "--json"]], ids=" ".join
)
def test_a_reader_that_has_enough_is_no_failure(arguments: list[str], unbuffered: bool) -> None:
    ended, closed = os.pipe()
    os.close(ended)
    more = ["-u"] if unbuffered else []
    command = [sys.executable, *more, "-m", "tailrace", *arguments]
    run = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    os.close(closed)
    assert (run.returncode, run.stderr) == (141, b"")


def test_another_pipe_that_breaks_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def asking() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(LazyGroup, "get_command", lambda self, context, name: asking)
    assert run(["coverage"]) == 1
    assert "A connection was closed by its other end" in capsys.readouterr().err
