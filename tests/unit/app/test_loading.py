"""Applications are loaded from files and by name; what is no application is refused, and what its
code raises comes through.
"""

import os
import sys
from pathlib import Path

import pytest

from tailrace.app.loading import load_app
from tailrace.errors import SettingsError

APP = """
from tailrace import App
app = App("loaded")
orders = app.table("orders", pk="id")
@app.on(orders)
def note(change): ...
"""


def test_an_app_is_loaded_from_a_file_or_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in (str(tmp_path / "loaded_app.py"), "loaded_app.py", "loaded_app:app", "loaded_app"):
        assert load_app(name).name == "loaded"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "one_app.py", "declares no App"),
        (APP + "other = App('other')\n", "one_app.py", "declares 2 Apps"),
        (APP, "no_such_file.py", "no file"),
        (APP, "no_such_module_at_all:app", "no module"),
        (APP, "one_app:note", "is no App"),
        (APP, "one_app:nothing", "is no App"),
    ],
)
def test_what_is_no_app_is_refused(
    text: str, name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one_app.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "one_app", raising=False)
    with pytest.raises(SettingsError, match=words):
        load_app(name)


def test_what_an_apps_own_code_raises_comes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_app.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("broken_app.py", "broken_app:app"):
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
            load_app(name)


def test_an_app_that_was_saved_twice_in_one_second_is_loaded_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "twice.py"
    for name in ("one", "two"):
        file.write_text(f"from tailrace import App\napp = App({name!r})\n")
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert load_app(str(file)).name == name
        sys.modules.pop("twice", None)
