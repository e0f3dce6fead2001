"""Blocks of code in Markdown, and how each kind runs.

Rules of this file: a block says by its info string what it is; what has none of these is not run, so
a new kind must be added here or in NOT_RUN. All blocks of one page share a directory and, if they
are `python`, a namespace.

    python                    runs; a following `text output` block is what it prints
    python title="app.py"     is saved under that name
    console                   lines with `$ ` run in a shell, one after the other; other lines are what they
    print,
                              where `…` stands for anything; a command that ends in `&` runs until the page
                              ends, or until `kill %N`: jobs are numbered as shells do, and one that has ended
                              gives its number back
"""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.crash.node import free_port
from tests.patience import PATIENCE_S, eventually
from tests.started.tests_stay_on_loopback import python_path

BLOCK: Final = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KILL: Final = re.compile(r"kill (?P<hard>-9 )?%(?P<number>\d+)")
EXAMPLES: Final = Path(__file__).parents[2] / "examples"
NOT_RUN: Final = {"text", "sh", "json", ""}
"""Pictures, formats, and commands that would install something."""
PORT: Final = "8000"
"""The port in the prose; a page runs on a free one."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its info string, its text, and the line on which it begins."""

    info: str
    text: str
    line: int

    @property
    def kind(self) -> str:
        """The first word of the info string."""
        return self.info.split(" ", 1)[0]

    @property
    def title(self) -> str | None:
        """The file name under which it is saved."""
        match = re.search(r'title="([^"]+)"', self.info)
        return match[1] if match else None


def blocks_of(text: str) -> Iterator[Block]:
    """Every block of a page, in order."""
    for match in BLOCK.finditer(text):
        yield Block(match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)


@dataclass(slots=True)
class Page:
    """Runs the blocks of one page. Raises: AssertionError that names page and line."""

    path: Path
    directory: Path
    port: int = field(default_factory=free_port)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""
    background: list[subprocess.Popen[str]] = field(default_factory=list)
    jobs: dict[int, subprocess.Popen[str]] = field(default_factory=dict)
    ran: int = 0

    def run(self) -> int:
        """Run everything; how many blocks ran."""
        text = self.path.read_text(encoding="utf-8")
        if "examples/" in text:  # the reader stands in the repository
            (self.directory / "examples").symlink_to(EXAMPLES)
        known = list(sys.path)
        try:
            for block in blocks_of(text):
                self._run_block(block)
        finally:
            sys.path[:] = known
            _forget_examples()
            self._stop_background()
        return self.ran

    def _run_block(self, block: Block) -> None:
        text = block.text.replace(PORT, str(self.port))
        where = f"{self.path.name}:{block.line}"
        if block.info == "text output":
            assert _fits(text, self.printed), f"{where} prints\n{self.printed}\ninstead of\n{text}"
        elif block.title:
            (self.directory / block.title).write_text(text, encoding="utf-8")
            sys.modules.pop(Path(block.title).stem, None)  # another page, or a test, has had one of that name
            self.ran += 1
        elif block.kind == "python":
            self.printed = self._execute(text, where)
            self.ran += 1
        elif block.kind == "console":
            for command, expected in commands_of(text):
                self._shell(command, expected, where)
            self.ran += 1
        else:
            assert block.kind in NOT_RUN, f"{where}: no test knows how to run {block.info!r}"

    def _execute(self, text: str, where: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.directory):
            exec(compile(text, where, "exec"), self.names)
        return printed.getvalue()

    def _shell(self, command: str, expected: str, where: str) -> None:
        environment = {
            **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": python_path("."),
            "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1",
            "COLUMNS": "140", "NO_COLOR": "1",
        }  # fmt: skip
        if killed := KILL.fullmatch(command):
            process = self.jobs.pop(int(killed["number"]))
            process.send_signal(signal.SIGKILL if killed["hard"] else signal.SIGTERM)
            process.wait(PATIENCE_S)
            return
        if command.endswith("&"):
            self._start(command.removesuffix("&").strip(), environment, expected, where)
            return
        run = subprocess.run(
            command,
            shell=True,
            cwd=self.directory,
            env=environment,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )
        assert run.returncode == 0, f"{where}: `{command}` failed:\n{run.stdout}"
        assert _fits(expected, run.stdout), (
            f"{where}: `{command}` prints\n{run.stdout}\ninstead of\n{expected}"
        )

    def _start(self, command: str, environment: dict[str, str], expected: str, where: str) -> None:
        path = self.directory / f"background-{len(self.background)}.log"
        with path.open("w") as log:
            process = subprocess.Popen(
                f"exec {command}",
                shell=True,
                cwd=self.directory,
                env=environment,
                text=True,
                stdout=log,
                stderr=log,
            )
        self.background.append(process)
        self.jobs[max(self.jobs, default=0) + 1] = process

        def has_said() -> bool:
            printed = path.read_text()
            if printed and _fits(expected, printed):
                return True
            assert process.poll() is None, f"{where}: `{command}` ended:\n{printed}"
            return False

        eventually(
            has_said, lambda: f"{where}: `{command}` prints\n{path.read_text()}\ninstead of\n{expected}"
        )

    def _stop_background(self) -> None:
        for process in self.background:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _forget_examples() -> None:
    """Another page, or a test of an example, imports them anew."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path.startswith(("examples/", str(EXAMPLES))):
            del sys.modules[name]


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Commands of a console block and what each prints. A line that ends in a backslash goes on."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command.strip(), printed


def _fits(expected: str, printed: str) -> bool:
    """Whether what is printed begins with what is expected; `…` stands for anything on its
    line, or for lines.
    """
    pattern = re.escape(expected.strip()).replace("…", ".*?")
    return re.match(pattern, _plain(printed).strip(), re.DOTALL) is not None


def _plain(text: str) -> str:
    """Without colours and without blanks at the ends of lines."""
    bare = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return "\n".join(line.rstrip() for line in bare.splitlines())
