"""The plugin of pytest: what a user's tests see, and what everybody else does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["tailrace.server", "tailrace.engine", "tailrace.stores", "tailrace.compose", "tailrace.runtime", "boto3", "botocore",
         "aiohttp", "sqlite3", "httptools", "asyncio"]  # fmt: skip


def python(program: str) -> str:
    """What a fresh interpreter prints."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout


def loaded_by(statement: str, names: list[str]) -> str:
    """Which of these modules a statement loads, as a fresh interpreter says."""
    return python(
        f"import sys; before = set(sys.modules); {statement}; print([n for n in {names} if n in sys.modules and n not in before])"
    )


def test_import_tailrace_loads_nothing_heavy() -> None:
    assert loaded_by("import tailrace", HEAVY) == "[]\n"


def test_declaring_an_app_loads_no_server_store_or_client() -> None:
    assert (
        loaded_by("from tailrace import App, Batch, Change, Retry; App('a').table('orders', pk='id')", HEAVY)
        == "[]\n"
    )


def test_the_plugin_loads_nothing_of_tailrace_until_the_fixture_is_used() -> None:
    names = [*HEAVY[:5], "tailrace.app", "tailrace.testing.world", "boto3", "sqlite3", "httptools"]
    assert loaded_by("import tailrace.testing.plugin", names) == "[]\n"


def pytest_in(folder: Path, text: str, *options: str) -> tuple[int, str]:
    """Run pytest on one file of tests."""
    (folder / "test_it.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tailrace.testing.plugin", *options, "test_it.py"],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    return ran.returncode, ran.stdout + ran.stderr


APP = """
from tailrace import App
import pytest
app = App("shop")
orders = app.table("orders", pk="id")
@app.on(orders)
def note(change): ...
"""


def test_the_fixture_and_its_marker(tmp_path: Path) -> None:
    code, output = pytest_in(tmp_path, APP + """
def test_use(world):
    world.use(app)
    world.put(orders, {"id": "a"})
    world.settle()
    assert world.delivered(note) == ["a"]

@pytest.mark.world(app, shards=4, seed=9)
def test_marked(world):
    assert world.seed == 9
    assert len(world.engine.shards_of(world.engine.stream_of("orders").arn)) == 4
""", "--strict-markers", "-W", "error")  # fmt: skip
    assert code == 0, output
    assert "2 passed" in output


def test_a_failure_prints_its_seed_and_the_option_replays_it(tmp_path: Path) -> None:
    text = APP + "def test_fails(world):\n    assert world.seed == 123\n"
    code, output = pytest_in(tmp_path, text)
    assert code == 1
    assert "pytest --world-seed" in output
    code, output = pytest_in(tmp_path, text, "--world-seed", "123")
    assert code == 0, output
    assert "world-seed" not in output


@pytest.mark.world(seed=5)
def test_the_fixture_is_there_without_any_configuration(request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue("world").seed == 5
