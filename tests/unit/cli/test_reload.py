"""Which files an app is made of, and when they change."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tailrace.cli.reload import Watch, forget_modules, module_files


def module(name: str, file: Path | None) -> ModuleType:
    made = ModuleType(name)
    if file is not None:
        made.__file__ = str(file)
    return made


def test_only_the_apps_own_modules_are_watched(tmp_path: Path) -> None:
    modules = {
        "app": module("app", tmp_path / "app.py"),
        "shop.mail": module("shop.mail", tmp_path / "shop" / "mail.py"),
        "installed": module("installed", tmp_path / ".venv" / "lib" / "installed.py"),
        "elsewhere": module("elsewhere", tmp_path.parent / "elsewhere.py"),
        "tailrace.app": module("tailrace.app", tmp_path / "tailrace" / "app.py"),
        "__main__": module("__main__", tmp_path / "run.py"),
        "builtin": module("builtin", None),
    }
    assert module_files(tmp_path, modules) == {
        "app": tmp_path / "app.py",
        "shop.mail": tmp_path / "shop" / "mail.py",
    }


def test_a_saved_file_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("a = 1")
    watch = Watch([path])
    assert watch.changed() == []
    path.write_text("a = 22")
    assert watch.changed() == [path]
    assert watch.changed() == []


def test_a_file_of_the_same_size_is_told_by_its_time(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("a = 1")
    watch = Watch([path])
    os.utime(path, ns=(1, 1))
    assert watch.changed() == [path]


def test_an_editor_that_replaces_a_file_makes_one_change(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text("a = 1")
    watch = Watch([path])
    path.unlink()
    assert watch.changed() == []
    path.write_text("a = 1")
    assert watch.changed() == [path]


def test_files_that_join_later_are_watched_from_then_on(tmp_path: Path) -> None:
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("")
    watch = Watch([first])
    second.write_text("")
    watch.extend([first, second])
    assert watch.changed() == []
    second.write_text("1")
    assert watch.changed() == [second]


def test_forgotten_modules_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "reloaded_for_test.py"
    path.write_text("value = 1")
    assert importlib.import_module("reloaded_for_test").value == 1
    path.write_text("value = 2")
    assert forget_modules(tmp_path) == ["reloaded_for_test"]
    importlib.invalidate_caches()
    assert importlib.import_module("reloaded_for_test").value == 2
    forget_modules(tmp_path)


def test_of_two_saves_in_one_second_with_one_size_the_second_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes the compiled file of the first for the second: it compares seconds and sizes."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "saved_twice.py"
    for value in (1, 2):
        file.write_text(f"value = {value}\n")
        os.utime(file, (1_000_000_000, 1_000_000_000))
        importlib.invalidate_caches()
        assert importlib.import_module("saved_twice").value == value
        assert forget_modules(tmp_path) == ["saved_twice"]
