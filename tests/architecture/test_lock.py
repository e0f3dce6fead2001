"""The locked requirements: every file by its hash, no registry's host, no path of any machine.

Rules of this file: reads `requirements/*.txt` and whatever git tracks; each pattern has its canary.
"""

import re
import subprocess
from pathlib import Path

import pytest

import tailrace

ROOT = Path(tailrace.__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
FOREIGN = re.compile(
    r"https?://|file:|--(extra-)?index-url|--find-links|-i\s|\s/(home|root|opt|tmp|usr|work|var)/|^/"
)
MACHINE_PATH = re.compile(r"(?<![\w.>~-])/(home|root|work|opt|Users)/\w+")


def foreign_lines(text: str) -> list[str]:
    """Lines that name a place from which something would be fetched."""
    return [line for line in text.splitlines() if FOREIGN.search(line) and not line.lstrip().startswith("#")]


def unhashed(text: str) -> list[str]:
    """Requirements without a hash."""
    joined = text.replace("\\\n", " ")
    return [line.split()[0] for line in joined.splitlines() if line.strip() and "--hash=sha256:" not in line]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_host_and_no_path(lock: Path) -> None:
    assert foreign_lines(lock.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_file_by_its_hash(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "==" in text
    assert unhashed(text) == []


def test_there_is_a_lock_for_each_list() -> None:
    lists = {path.stem for path in (ROOT / "requirements").glob("*.in")}
    assert lists == {path.stem for path in LOCKS} == {"runtime", "dev", "flights"}


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://registry.example/simple",
        "click @ file:///home/somebody/click",
        "--find-links /opt/wheels",
        "-i http://127.0.0.1:3141/",
    ],
)
def test_a_foreign_line_is_found(line: str) -> None:
    assert foreign_lines(f"click==8 \\\n    --hash=sha256:00\n{line}\n") == [line]


def test_a_requirement_without_hash_is_found() -> None:
    assert unhashed("click==8 \\\n    --hash=sha256:00\nrich==13\n") == ["rich==13"]


def tracked() -> list[Path]:
    """Text files in the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def test_no_file_names_a_path_of_this_machine() -> None:
    problems = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked()
        if path != Path(__file__)
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert problems == []


def test_a_machine_path_is_found() -> None:
    assert MACHINE_PATH.search('x = "/home/somebody/file"')
