"""Loading an application: from a file, or by its module's name.

Rules of this file: a module is whole or not there, so that a reload never takes half of one for it.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from tailrace.app.app import App
from tailrace.errors import SettingsError


def load_app(text: str) -> App:
    """The app in a file (`app.py`) or under a name (`package.module:app`).

    Raises:  SettingsError; what its code raises.
    """
    module_name, _, attribute = text.partition(":")
    module = _load_file(Path(text)) if text.endswith(".py") else _load_module(module_name)
    if attribute and not text.endswith(".py"):
        named = getattr(module, attribute, None)
        if not isinstance(named, App):
            there = [name for name, value in vars(module).items() if isinstance(value, App)]
            meant = f"tailrace dev {module_name}:{there[0]}" if there else "app = App('name') makes one"
            raise SettingsError(f"{text}: {attribute!r} is no App", hint=meant)
        return named
    names = {id(value): name for name, value in vars(module).items() if isinstance(value, App)}
    if not names:
        raise SettingsError(
            f"{text} declares no App; one is needed", hint="app = tailrace.App('shop')   (in that file)"
        )
    if len(names) > 1:
        module_name = Path(text).stem if text.endswith(".py") else module_name
        raise SettingsError(
            f"{text} declares {len(names)} Apps, {', '.join(names.values())}; one is needed",
            hint=f"tailrace dev {module_name}:{next(iter(names.values()))}   (beside the file)",
        )
    app: App = getattr(module, next(iter(names.values())))
    return app


class FromSource(SourceFileLoader):
    """Reads the file, never a compiled one: within the same second it may be an older save."""

    def get_code(self, fullname: str) -> CodeType:
        """What the file says now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise SettingsError(
            f"There is no file {path}.", hint="name a file that is there, like path/to/app.py"
        )
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem
    place = str(path.resolve())
    spec = importlib.util.spec_from_file_location(name, place, loader=FromSource(name, place))
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
    if Path(name).is_dir() or not all(part.isidentifier() for part in name.split(".")):
        kind = "a directory" if Path(name).is_dir() else "no name of a module"
        raise SettingsError(
            f"{name} is {kind}: an app is a file or package.module:name", hint="tailrace dev path/to/app.py"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise
        raise SettingsError(f"There is no module {name!r}.", hint="tailrace dev path/to/app.py") from error
