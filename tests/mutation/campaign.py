"""Runs mutants: each in a copy of the tree, its tests until the first that fails.

Rules of this file: the working tree is never changed, and nothing of it is imported by what runs. Compiled
files are told apart by the hash of their source, so that a change of the same second is seen. A test that
fails on the copy as it is proves nothing: all of them are run on it first. A mutant that cannot be imported,
or does not come to an end, was not caught by any test.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from typing import Final

from tests.mutation.mutant import PACKAGE, ROOT, Mutant
from tests.patience import PATIENCE_S
from tests.started.tests_stay_on_loopback import python_path

COPIED: Final = (
    "src",
    "tests",
    "examples",
    "docs",
    "bench",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
)
LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis", "*.pyc")
CAUGHT: Final = re.compile(r"^(?:FAILED|ERROR) tests/(\S+?::.+?)(?: - .*)?$", re.MULTILINE)
PASSED: Final = 0
"""pytest's exit status when all tests passed."""
FAILED: Final = 1
"""And when one failed."""


class Unsound(Exception):
    """The tests fail without any mutant: nothing can be said."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant. Shape: `caught_by` is a test as pytest names it, without tests/; without one
    `said` is how it ended.
    """

    mutant: Mutant
    caught_by: str
    said: str = ""


class Copy:
    """One copy of the tree, for one mutant at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, paths: Sequence[str]) -> tuple[int, str]:
        """pytest on these paths until the first failure. Returns: exit status
        and output. Raises: subprocess.TimeoutExpired.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": python_path(self.root / "src"),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_PROFILE": "same",
        }
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-rfE", *paths],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def judge(self, mutant: Mutant) -> Verdict:
        """Make the change, run the mutant's tests, and take the change back."""
        file = self.root / PACKAGE / mutant.file
        before = file.read_text()
        try:
            file.write_text(mutant.applied(before))
            status, output = self.run(mutant.paths)
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "", f"did not end within {PATIENCE_S:.0f} s")
        finally:
            file.write_text(before)
        match = CAUGHT.search(output)
        if status == FAILED and match is not None:
            return Verdict(mutant, match[1])
        return Verdict(mutant, "", "SURVIVED" if status == PASSED else f"could not be run: {output[-2_000:]}")


@contextmanager
def copies(count: int) -> Iterator[list[Copy]]:
    """So many copies of the tree, which are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tailrace-mutation-") as parent:
        first = Path(parent) / "0"
        first.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, first / name, ignore=LEFT_OUT)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, first / name)
        compile_dir(
            first / "src", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH, stripdir=str(first)
        )
        roots = [first]
        for number in range(1, count):
            roots.append(Path(shutil.copytree(first, Path(parent) / str(number))))
        yield [Copy(root) for root in roots]


def judge_all(
    mutants: Sequence[Mutant], jobs: int, tell: Callable[[Verdict], None], *, is_sound: bool = False
) -> list[Verdict]:
    """Judge all of them, `jobs` at a time. `tell` hears each verdict as it comes; `is_sound`: their tests are
    known to pass.

    Raises:  Rotten, Unsound.
    """
    for mutant in mutants:
        mutant.check()
    with copies(max(1, min(jobs, len(mutants)))) as trees, ThreadPoolExecutor(len(trees)) as pool:
        free: SimpleQueue[Copy] = SimpleQueue()
        for tree in trees:
            free.put(tree)

        def judged(mutant: Mutant) -> Verdict:
            tree = free.get()
            try:
                verdict = tree.judge(mutant)
            finally:
                free.put(tree)
            tell(verdict)
            return verdict

        if not is_sound:
            _require_sound(mutants, trees[0])
        return list(pool.map(judged, mutants))


def _require_sound(mutants: Sequence[Mutant], tree: Copy) -> None:
    """All tests named must pass on the copy as it is. Raises: Unsound."""
    status, output = tree.run(list(dict.fromkeys(path for mutant in mutants for path in mutant.paths)))
    if status != PASSED:
        raise Unsound(
            f"the tests of the mutants fail without any mutant, so they prove nothing: {output[-2_000:]}"
        )
