"""The import contracts of pyproject.toml hold, and the checker is seen to fail.

Rules of this file: the contracts are written in pyproject.toml alone; here they run.
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tailrace
from tests.started.tests_stay_on_loopback import python_path

PACKAGE = Path(tailrace.__file__).parent
ROOT = PACKAGE.parents[1]
LINT = Path(sys.executable).with_name("lint-imports")

PURE = (
    "errors.py", "telemetry.py", "values", "expressions", "streams", "tables", "rows", "mapping", "leases",
    "deadletters/core", "projections/core", "windows/core",
    "api/wire.py", "aws/errors.py", "aws/operations.py", "aws/protocols.py", "aws/signing.py",
)  # fmt: skip
WORLD = {
    "asyncio", "threading", "time", "datetime", "random", "secrets", "uuid", "socket", "ssl", "os", "pathlib",
    "sqlite3", "logging", "subprocess", "boto3",
}  # fmt: skip


LAYERS, FLOORS, SIBLINGS = (
    "Layers of the architecture",
    "Floors of the feature rooms",
    "No siblings import each other in a circle",
)
PLANTED = {
    "delivery knows nothing of what a room runs": (LAYERS, "runtime/driver.py", "deadletters.run.redriver"),
    "delivery knows nothing of the worker": (LAYERS, "runtime/driver.py", "worker.worker"),
    "what a room decides lies below the ports": (LAYERS, "deadletters/core/entry.py", "ports"),
    "what a room runs knows nothing of the worker": (LAYERS, "deadletters/run/redriver.py", "worker.worker"),
    "a room has floors and nothing beside them": (FLOORS, "deadletters/beside.py", "errors"),
    "the core of a room imports nothing that it runs": (FLOORS, "deadletters/core/entry.py",
        "deadletters.run.courier"),
    "views of a room import nothing that it runs": (FLOORS, "deadletters/views/letters.py",
        "deadletters.run.courier"),
    "rooms know of one another what their cores say": (LAYERS, "projections/run/projector.py",
        "deadletters.run.courier"),
    "views of one room know nothing that another runs": (LAYERS, "projections/views/projections.py",
        "deadletters.run.courier"),
    "what one room runs knows nothing that another runs": (LAYERS, "windows/run/windowing.py",
        "projections.run.projector"),
    "ports know of a room what its core says": (LAYERS, "ports/stores.py", "projections.run.projector"),
    "siblings make no circle": (SIBLINGS, "streams/version.py", "streams.record"),
}  # fmt: skip
"""Imports that a contract forbids: the contract, where the import stands, and of what."""


def lint(config: Path, sources: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the import contracts of one file, over a copy of the package in `sources` where there is one."""
    elsewhere = {} if sources is None else {"PYTHONPATH": python_path(sources)}
    return subprocess.run(
        [LINT, "--no-cache", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **elsewhere},
    )


def test_every_import_contract_is_kept() -> None:
    run = lint(ROOT / "pyproject.toml")
    assert run.returncode == 0, run.stdout


def test_a_broken_contract_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "contracts.toml"
    planted.write_text(
        '[tool.importlinter]\nroot_package = "tailrace"\n[[tool.importlinter.contracts]]\nname = "planted"\n'
        'type = "forbidden"\nsource_modules = ["tailrace.ports"]\nforbidden_modules = ["tailrace.mapping"]\n'
    )
    assert lint(planted).returncode != 0


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, to plant imports in."""
    sources = tmp_path_factory.mktemp("sources")
    shutil.copytree(PACKAGE, sources / "tailrace", ignore=shutil.ignore_patterns("__pycache__"))
    return sources


@pytest.mark.parametrize("canary", PLANTED)
def test_an_import_that_is_planted_breaks_its_contract(canary: str, copied: Path) -> None:
    contract, where, what = PLANTED[canary]
    path = copied / "tailrace" / where
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\nimport tailrace.{what}\n", encoding="utf-8")
    try:
        run = lint(ROOT / "pyproject.toml", copied)
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    assert run.returncode != 0
    assert f"{contract} BROKEN" in " ".join(run.stdout.split())


def imported(text: str) -> set[str]:
    """Top names of everything that a source imports, lazily or not."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split(".")[0])
    return modules


def test_what_decides_imports_nothing_of_the_world() -> None:
    checked = 0
    for name in PURE:
        place = PACKAGE / name
        for path in [place] if place.suffix else sorted(place.rglob("*.py")):
            checked += 1
            assert not imported(path.read_text(encoding="utf-8")) & WORLD, path
    assert checked > len(PURE)


def test_an_impure_import_is_found_wherever_it_hides() -> None:
    assert imported("def f():\n    import os.path\n") & WORLD
    assert imported("from sqlite3 import connect\n") & WORLD


def test_importing_the_package_loads_neither_server_nor_boto3() -> None:
    program = (
        "import sys, tailrace\n"
        "heavy = {name for name in sys.modules if name.startswith(('tailrace.server', "
        "'tailrace.cli', 'boto3', 'aiohttp', 'tailrace.stores', 'rich', 'click', 'tailrace.replays', "
        "'tailrace.journal', 'duckdb'))}\nassert not "
        "heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
