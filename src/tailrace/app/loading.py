"""Loading an application: from a file, or by its module's name.

Rules of this file: a module is whole or not there, so that a reload never takes half of one for it. Called by `cli`.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from tailrace.app.app import App
from tailrace.errors import SettingsError


def load_app(text: str) -> App:
    """The app in a file (`app.py`) or under a name (`package.module:app`). Raises: SettingsError; what its code raises."""
    module_name, _, attribute = text.partition(":")
    module = _load_file(Path(text)) if text.endswith(".py") else _load_module(module_name)
    if attribute and not text.endswith(".py"):
        found = getattr(module, attribute, None)
        if not isinstance(found, App):
            raise SettingsError(f"{text}: {attribute!r} is no App", hint="app = App('name') makes one")
        return found
    apps = {id(value): value for value in vars(module).values() if isinstance(value, App)}
    if len(apps) != 1:
        many = "no App" if not apps else f"{len(apps)} Apps"
        raise SettingsError(
            f"{text} declares {many}; one is needed", hint="package.module:name chooses one of several"
        )
    return next(iter(apps.values()))


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise SettingsError(f"There is no file {path}.", hint="tailrace dev path/to/app.py")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        # Half a module must not be found by the next import: a reload would take it for the whole one.
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


def _load_module(name: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise
        raise SettingsError(f"There is no module {name!r}.", hint="tailrace dev path/to/app.py") from error
