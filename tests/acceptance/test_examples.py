"""README and examples, run as written.

Rules of this file: every program is a process of its own, as a user would start it.
"""

import subprocess
import sys
from pathlib import Path

import tailrace
from tests.docs.blocks import blocks_of

ROOT = Path(tailrace.__file__).parents[2]
BLOCKS = list(blocks_of((ROOT / "README.md").read_text(encoding="utf-8")))
PROGRAM = next(block.text for block in BLOCKS if block.info == "python")
OUTPUT = next(block.text for block in BLOCKS if block.info == "text output")


def run(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A program as a process."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
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


def test_the_examples_are_clean_under_strict_types() -> None:
    programs = sorted((ROOT / "examples").rglob("*.py"))
    checked = run("-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", *programs)
    assert checked.returncode == 0, checked.stdout
