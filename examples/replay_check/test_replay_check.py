"""The check of a pull request passes a refactoring and catches a bug, in a repository of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tailrace.app.loading import load_app
from tailrace.testing import World

HERE = Path(__file__).parent
FILES = ("shop.py", "stubs.py", "check.sh")
SINCE = "2026-01-01T00:00Z"


def git(folder: Path, *arguments: str) -> str:
    named = {f"GIT_{who}_{what}": "shop" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with one commit, beside a journal of four orders, two of which were paid."""
    folder = tmp_path_factory.mktemp("repository")
    for name in FILES:
        shutil.copy(HERE / name, folder / name)
    (folder / ".gitignore").write_text("history/\n__pycache__/\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        app = load_app("shop.py")
        module = sys.modules["shop"]
        app.withdraw("receipt")  # only the journal is wanted, not what happened
        with World(app, seed=1, sinks="real") as world:
            world.put(module.Stock(sku="cup", left=10))
            for number in range(4):
                world.put(
                    module.Order(id=f"o{number}", mail="a@example.com", sku="cup", count=2, total=Decimal(20))
                )
                world.advance("1m")
            for name in ("o1", "o3"):
                world.update(module.Order, id=name, status="paid")
                world.advance("1m")
            world.settle()
        git(folder, "init", "--quiet")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "A shop")
        yield folder
    finally:
        os.chdir(before)


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["./check.sh", "HEAD", SINCE], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def test_a_refactoring_passes(repository: Path) -> None:
    text = (repository / "shop.py").read_text()
    turned = text.replace(
        "(0 if stock is None else stock.left) - order.count", "after(stock, order.count)"
    ).replace(
        "\n\n@app.on",
        "\n\ndef after(stock: Stock | None, count: int) -> int:\n"
        "    return (stock.left if stock else 0) - count\n\n\n@app.on",
    )
    assert turned != text
    (repository / "shop.py").write_text(turned)
    checked = check(repository)
    assert (checked.returncode, checked.stdout) == (
        0, "7 of 7 changes compared: no difference\n"
    ), checked.stderr  # fmt: skip
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_bug_is_caught(repository: Path) -> None:
    text = (repository / "shop.py").read_text()
    (repository / "shop.py").write_text(
        text.replace("- order.count", "+ order.count").replace("- count", "+ count")
    )
    checked = check(repository)
    assert checked.returncode == 1, checked.stderr
    assert "receipt: output EventBridge: left differs, 2 times" in checked.stdout
    assert "receipt: transaction Put shop: item.left.N differs, 2 times" in checked.stdout
    assert "for example shop/ORDER#o1" in checked.stdout
    assert '"left":8' in checked.stdout
    assert '"left":12' in checked.stdout
    assert "7 of 7 changes compared: 2 kinds of difference" in checked.stdout
    assert git(repository, "worktree", "list").count("\n") == 1
