"""An app in a directory with a journal of its table, as commands replay it: on trial, compared, live.

Rules of this file: what an app is and what is expected of it are the tests'; each test gets a copy.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import boto3
import pytest

from tailrace.app.loading import load_app
from tailrace.testing import World
from tests.command_line import tailrace
from tests.patience import PATIENCE_S
from tests.serving import serving

CHANGES = 120
BEGIN = "2026-01-01T00:00Z"


def journaled(folder: Path, app: str, handlers: Sequence[str], put: Callable[[World, int], object]) -> Path:
    """A directory with an app, and a journal of a change a second; the handlers are called for none of them.
    Shape: `put` makes the change of a number.
    """
    (folder / "app.py").write_text(app)
    with contextlib.chdir(folder):
        loaded = load_app("app.py")
        for handler in handlers:
            loaded.withdraw(handler)
        with World(loaded, seed=1, sinks="real") as world:
            for number in range(CHANGES):
                put(world, number)
                world.advance("1s")
            world.settle()
    return folder


def copied(journal: Path, tmp_path: Path) -> Path:
    """Such a directory, for one test."""
    shutil.copytree(journal, tmp_path / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "shop"


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    named = {f"GIT_{who}_{what}": "shop" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **named}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def committed(folder: Path) -> Path:
    """The same as a repository, with everything but its journal committed."""
    (folder / ".gitignore").write_text("history/\n__pycache__/\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "A shop")
    return folder


def compared(folder: Path, handler: str, *more: str) -> subprocess.CompletedProcess[str]:
    """What is said of a handler's effects, before and now."""
    asked = ("replay", handler, "--since", BEGIN, "--app", "app.py", "--compare-with", "HEAD")
    return tailrace(*asked, *more, cwd=folder)


@contextlib.contextmanager
def served(monkeypatch: pytest.MonkeyPatch, *tables: str) -> Iterator[str]:
    """A server with these tables, which are empty, and credentials for it. Returns: its URL."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=url)
        for table in tables:
            client.create_table(
                TableName=table,
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            )
        yield url


def create_state(endpoint: str) -> None:
    """The place for a live run and its marks."""
    made = tailrace("state", "create", "dynamodb:state", "--endpoint", endpoint, "--region", "us-east-1")
    assert made.returncode == 0, made.stderr


def live_words(endpoint: str, handler: str, *more: str) -> list[str]:
    """What is typed for a live replay."""
    asked = ["replay", handler, "--app", "app.py", "--effects", "live", "--yes", "--region", "us-east-1"]
    return [*asked, "--state", "dynamodb:state", "--endpoint", endpoint, *more]


def live(folder: Path, endpoint: str, handler: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A live replay in a process of its own, which may be killed."""
    return subprocess.run(
        [sys.executable, "-m", "tailrace", *live_words(endpoint, handler, *more)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
