"""`tailrace mapping drop`, beside a running server and without one: real processes."""

from pathlib import Path

import pytest

from tests.acceptance.test_dlq_cli import APP, asked, begun, put, run, until_letters
from tests.crash.node import Node, free_port

WITHOUT = APP.partition("@app.on")[0]
"""The app after its handler was deleted."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory whose handler was deleted from its app after it had parked an item."""
    (tmp_path / "app.py").write_text(APP.replace("NAME", "note"))
    node = begun(tmp_path)
    put(node, "bad")
    until_letters(tmp_path, 1)
    assert node.stop() == 0
    (tmp_path / "app.py").write_text(WITHOUT)
    return tmp_path


def test_a_handler_that_was_deleted_is_dropped_and_the_app_starts_again(directory: Path) -> None:
    refused = run(directory, "mapping", "drop", "note")
    assert (refused.returncode, "never handled 1 parked changes" in refused.stderr) == (1, True)
    assert "--yes" in refused.stderr
    planned = run(directory, "mapping", "drop", "note", "--dry-run").stdout
    assert "would be removed" in planned
    assert "bad" in planned
    assert "ValueError: no such country" in planned
    assert asked(directory, "mapping", "ls")[0]["handler"] == "note"
    assert "removed" in run(directory, "mapping", "drop", "note", "--yes").stdout
    assert asked(directory, "mapping", "ls") == []
    assert [entry["verb"] for entry in asked(directory, "audit")][-1] == "mapping.drop"
    node = begun(directory)
    assert node.stop() == 0


def test_it_is_dropped_beside_a_server_that_does_not_run_it(directory: Path) -> None:
    node = Node(directory, free_port(), ("serve",))
    node.start()
    node.wait_until_answering()
    try:
        assert asked(directory, "mapping", "drop", "note", "--yes")["lost"] == {"parked changes": 1}
        assert asked(directory, "mapping", "ls") == []
        assert [entry["verb"] for entry in asked(directory, "audit")] == ["mapping.drop"]
    finally:
        assert node.stop() == 0


def test_a_start_that_misses_a_handler_names_the_commands_for_it(directory: Path) -> None:
    refused = run(directory, "dev", str(directory / "app.py"), "--port", "0")
    assert refused.returncode == 1
    assert "tailrace mapping rename note" in refused.stderr
    assert "tailrace mapping drop note" in refused.stderr
