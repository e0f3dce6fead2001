"""README and examples, run as written.

Rules of this file: every program is a process of its own, as a user would start it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
from tests.docs.blocks import blocks_of
from tests.patience import PATIENCE_S
from tests.postgres import postgres

ROOT = Path(tailrace.__file__).parents[2]
BLOCKS = list(blocks_of((ROOT / "README.md").read_text(encoding="utf-8")))
PROGRAM = next(block.text for block in BLOCKS if block.info == "python")
OUTPUT = next(block.text for block in BLOCKS if block.info == "text output")


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A database for the example that has one."""
    with postgres() as server:
        yield server.database()


def run(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program as a process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def test_the_program_of_the_readme_prints_what_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = run("program.py", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, OUTPUT), ran.stderr


def test_the_program_of_the_readme_has_about_ten_lines() -> None:
    code = [line for line in PROGRAM.splitlines() if line.strip()]
    assert len(code) <= 12


def test_the_example_is_the_program_of_the_readme() -> None:
    text = (ROOT / "examples" / "hello.py").read_text(encoding="utf-8")
    code = [line for line in text.partition('"""\n')[2].splitlines() if line.strip()]
    assert code == [line for line in PROGRAM.splitlines() if line.strip()]
    ran = run(ROOT / "examples" / "hello.py")
    assert (ran.returncode, ran.stdout) == (0, OUTPUT), ran.stderr


TESTED = sorted({path.parent for path in (ROOT / "examples").rglob("test_*.py")})


@pytest.mark.parametrize("folder", TESTED, ids=lambda folder: folder.name)
def test_an_example_passes_its_own_tests(folder: Path, request: pytest.FixtureRequest) -> None:
    environment = {}
    if folder.name == "analytics":
        environment["ANALYTICS_POSTGRES"] = request.getfixturevalue("database")
    # One seed: a change fails for what it changed, and not for a world that was never met before.
    ran = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tailrace-seed", "1", ".", cwd=folder, **environment
    )
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("folder", TESTED, ids=lambda folder: folder.name)
def test_an_example_says_on_one_screen_what_it_teaches(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "What it teaches: **" in text
    assert len(text.splitlines()) <= 30
    for path in re.findall(r"examples/\S+", text):
        assert (ROOT / path).exists(), path
    assert f"]({folder.name}/README.md)" in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


def strictly(*programs: Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """mypy --strict, with what is known of the package since its own types were checked so."""
    shared = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")
    return run("-m", "mypy", *shared, *programs, cwd=cwd)


FOLDERS = sorted({path.parent for path in (ROOT / "examples").rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_examples_are_clean_under_strict_types(folder: Path) -> None:
    # One by one: several of them are called app.py, as they would be anywhere.
    programs = sorted(folder.glob("*.py"))
    checked = strictly(*programs, cwd=folder)
    assert checked.returncode == 0, checked.stdout


SLIPS = """
from decimal import Decimal
from typing import Annotated
from tailrace import App, Batch, Change, Client, Depends, Index, Item, changed, new, sinks

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk", indexes={"by_total": Index("kind", "total", sk_type="N")})
app.table("other", pk="pk", indexes={"by_total": ("kind", "total")})  # SLIP


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    total: Decimal = Decimal(0)


@app.on(Order, where=changed(Order.totl))  # SLIP
def watch(change: Change[Order]) -> None:
    print(change.new.totl)  # SLIP
    print(change.new.total)


Order(idd="x", id="y")  # SLIP
Order(id=3)  # SLIP
_ = new(Order.total) > "x"  # SLIP
_ = new(Order.total) > 100


@app.on(Order, max_generation=3)  # SLIP
def deep(change: Change[Order]) -> None:
    change.transaction.put(Order(id=change.new.id))


@app.batch(shop, batching_window_ms="5s")  # SLIP
def many(batch: Batch) -> None: ...


@app.on(Order)
def ask(change: Change[Order], db: Annotated[Client, Depends(app.client)]) -> None:
    found = db.get(Order, id="o1")
    print(found.total)  # SLIP
    for each in db.query(Order, index="by_total", kind="tea"):
        print(each.totl)  # SLIP
        print(each.total + 1)


app.sink(Order, sinks.Sqs("orders"), batching_window_ms=5, concurency=2)  # SLIP
app.function("legacy:handler", shop, BatchSise=10)  # SLIP
app.function("legacy:handler", shop, BatchSize=10, StartingPosition="NEWEST")  # SLIP
app.function("legacy:handler", shop, BatchSize=10, StartingPosition="LATEST",
             FunctionResponseTypes=["ReportBatchItemFailures"])
"""
PYRIGHT = ROOT / "tests" / "pyright" / "node_modules" / ".bin" / "pyright"


def lines_at_fault(output: str) -> set[int]:
    """The lines that a type checker names."""
    return {int(line) for line in re.findall(r"slips\.py:(\d+):", output)}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_find_slips_in_entities_and_predicates(checker: str, tmp_path: Path) -> None:
    (tmp_path / "slips.py").write_text(SLIPS)
    wanted = {number for number, line in enumerate(SLIPS.splitlines(), start=1) if "SLIP" in line}
    if checker == "mypy":
        said = strictly(tmp_path / "slips.py").stdout
    elif PYRIGHT.exists():
        said = subprocess.run(
            [PYRIGHT, "--pythonpath", sys.executable, tmp_path / "slips.py"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    else:
        pytest.skip("make pyright installs it")
    assert lines_at_fault(said) == wanted, said


def test_the_examples_are_clean_under_pyright() -> None:
    if not PYRIGHT.exists():
        pytest.skip("make pyright installs it")
    said = subprocess.run(
        [PYRIGHT, "--pythonpath", sys.executable, ROOT / "examples"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout
