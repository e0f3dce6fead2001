"""The plugin of pytest: what a user's tests see, and what everybody else does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.started.tests_stay_on_loopback import python_path

HEAVY = ["tailrace.server", "tailrace.engine", "tailrace.stores", "tailrace.compose", "tailrace.runtime",
         "boto3", "botocore", "aiohttp", "sqlite3", "httptools", "asyncio"]  # fmt: skip


def python(program: str) -> str:
    """What a fresh interpreter prints."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ran.stdout


def loaded_by(statement: str, names: list[str]) -> str:
    """Which of these modules a statement loads, as a fresh interpreter says."""
    return python(
        f"import sys; before = set(sys.modules); {statement}; print([n for n in {names} if n in "
        f"sys.modules and n not in before])"
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
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "tailrace.testing.plugin",
            *options,
            "test_it.py",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": python_path(*sys.path),
        },
    )
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
    code, output = pytest_in(
        tmp_path,
        APP
        + """
def test_use(world):
    world.use(app)
    world.put(orders, {"id": "a"})
    world.settle()
    assert world.delivered(note) == ["a"]

@pytest.mark.world(app, shards=4, seed=9)
def test_marked(world):
    assert world.seed == 9
    assert len(world.engine.shards_of(world.engine.stream_of("orders").arn)) == 4
""",
        "--strict-markers",
        "-W",
        "error",
    )
    assert code == 0, output
    assert "2 passed" in output


def test_a_failure_prints_its_seed_and_the_option_replays_it(tmp_path: Path) -> None:
    text = APP + "def test_fails(world):\n    assert world.seed == 123\n"
    code, output = pytest_in(tmp_path, text)
    assert code == 1
    assert "replay: pytest test_it.py::test_fails --tailrace-seed" in output
    code, output = pytest_in(tmp_path, text, "--tailrace-seed", "123")
    assert code == 0, output
    assert "tailrace-seed" not in output


TWICE = (
    APP.replace("def note(change): ...", "async def note(change): mailed.append(change.key)")
    + """
mailed = []

def test_mails_once(world):
    mailed.clear()
    world.use(app)
    with world.faults(duplicates=.5, throttle=.3, crash="before-effect", slow="1m"):
        for key in "abc":
            world.put(orders, {"id": key})
            world.settle()
    assert sorted(mailed) == ["a", "b", "c"]
"""
)


def test_a_failure_under_faults_names_those_that_matter_and_they_replay_it(tmp_path: Path) -> None:
    code, output = pytest_in(tmp_path, TWICE, "--tailrace-seed", "5")
    assert code == 1
    assert "1 failed" in output
    (line,) = [line for line in output.splitlines() if "these matter: " in line]
    count, words = line.split("of its ")[1].split(" faults these matter: ")
    assert int(count) > 2
    assert words.split(".")[0] == "duplicate"
    assert len(words.split()) == 1
    assert f"--tailrace-seed 5 --tailrace-faults {words}" in output
    assert f"fault {words}: note is given" in output
    assert "injected faults (duplicates " in output
    assert "put orders" in output
    code, output = pytest_in(tmp_path, TWICE, "--tailrace-seed", "5", "--tailrace-faults", words)
    assert code == 1
    assert "1 injected faults" in output
    code, output = pytest_in(tmp_path, TWICE, "--tailrace-seed", "5", "--tailrace-faults", "")
    assert code == 0, output


def test_making_a_failure_smaller_can_be_left_out(tmp_path: Path) -> None:
    code, output = pytest_in(
        tmp_path, TWICE, "--tailrace-seed", "5", "--tailrace-shrink", "0", "--tailrace-events", "0"
    )
    assert code == 1
    assert "these matter" not in output
    assert "events" not in output


def test_a_failure_that_comes_from_outside_says_so(tmp_path: Path) -> None:
    code, output = pytest_in(
        tmp_path,
        TWICE
        + """
runs = []

def test_fails_first(world):
    runs.append(1)
    world.use(app)
    with world.faults(duplicates=1):
        world.put(orders, {"id": "a"})
        world.settle()
    assert len(runs) > 1
""",
        "-k",
        "fails_first",
    )
    assert code == 1
    assert "something outside of the world is left to chance" in output


def test_fixtures_of_a_wider_scope_are_there_in_every_run(tmp_path: Path) -> None:
    code, output = pytest_in(
        tmp_path,
        TWICE
        + """
@pytest.fixture(scope="module")
def wide():
    yield ["wide"]

@pytest.mark.parametrize("number", [1, 2])
def test_fails(wide, world, tmp_path, number):
    assert tmp_path.exists() and wide == ["wide"]
    mailed.clear()
    world.use(app)
    with world.faults(duplicates=1):
        world.put(orders, {"id": "a"})
        world.settle()
    assert mailed == ["a"]

def test_passes_after_them(wide, world):
    assert wide == ["wide"]
""",
        "-k",
        "fails or passes",
        "-W",
        "error",
    )
    assert code == 1
    assert "2 failed, 1 passed" in output
    assert output.count("of its 1 faults these matter: duplicate.1") == 2


def test_a_broken_order_is_told_by_pytest_with_its_replay(tmp_path: Path) -> None:
    code, output = pytest_in(
        tmp_path,
        """
from tests.unit.testing import racing
import pytest

@pytest.mark.world(racing.app, shards=4, seed=1)
def test_no_order_breaks_it(world):
    world.explore(racing.paying(world), check=racing.check)
""",
    )
    assert code == 1
    assert "BrokenOrder: schedule 4 of 2,000" in output
    assert 'replay: world.explore(…, replay="' in output
    assert "--tailrace-seed 1" in output
    assert "these matter" not in output


def test_the_options_are_in_the_help(tmp_path: Path) -> None:
    _, output = pytest_in(tmp_path, APP, "--help")
    section = output.partition("tailrace: tests in a world of virtual time")[2]
    for option in ("--tailrace-seed", "--tailrace-faults", "--tailrace-shrink", "--tailrace-events"):
        assert option in section


@pytest.mark.world(seed=5)
def test_the_fixture_is_there_without_any_configuration(request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue("world").seed == 5
