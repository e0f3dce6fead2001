"""What answers a handler's calls on trial: functions in the place of others, by their dotted names.

Theory of operation: `"mail.send"` names an attribute of a module as the handler finds it, and the stub stands
there for the time of the trial; a name of a provider of `Depends` gets its stub as a provider. What is called
through a stub is an effect: its name, its arguments.
Rules of this file: what a name does not name is refused before anything is called.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from tailrace.app.depends import providers_of
from tailrace.app.loading import FromSource
from tailrace.app.mapping import HandlerMapping
from tailrace.errors import SettingsError
from tailrace.replays.run.noting import body_of, notes_here

NAME: Final = "stubs"
NONE: Final[Mapping[Any, Any]] = MappingProxyType({})
HINT: Final = 'stubs = {"app.send": lambda *arguments, **named: None}'


class StubPlace(Struct, frozen=True):
    """An attribute that a stub stands for."""

    owner: Any
    attribute: str
    stub: Callable[..., Any]


class Stubs(Struct, frozen=True):
    """The stubs of one trial. Shape: `providers` by those that they stand for."""

    places: tuple[StubPlace, ...] = ()
    providers: Mapping[Callable[..., Any], Callable[..., Any]] = NONE

    @contextmanager
    def laid(self) -> Iterator[None]:
        """Let them stand, in this block."""
        before: list[tuple[StubPlace, Any]] = []
        try:
            for place in self.places:
                before.append((place, inspect.getattr_static(place.owner, place.attribute)))
                setattr(place.owner, place.attribute, place.stub)
            yield
        finally:
            for place, value in reversed(before):
                setattr(place.owner, place.attribute, value)


def stubs_of(named: Mapping[str, Callable[..., Any]], mapping: HandlerMapping) -> Stubs:
    """The stubs that a person gives. Raises: SettingsError."""
    providers = set(_providers(mapping.dependencies.values()))
    places: list[StubPlace] = []
    provided: dict[Callable[..., Any], Callable[..., Any]] = {}
    for name, stub in named.items():
        if not callable(stub):
            raise SettingsError(f"stubs: {name!r} is {stub!r}: a stub is called", hint=HINT)
        owner, attribute = _resolved(name)
        value = getattr(owner, attribute)
        if callable(value) and value in providers:
            provided[value] = _provider(name, stub)
        else:
            places.append(StubPlace(owner, attribute, recorded(name, stub)))
    return Stubs(tuple(places), provided)


def read_stubs(path: Path) -> Mapping[str, Callable[..., Any]]:
    """The stubs of a file: its mapping `stubs`, name to function. Raises: SettingsError."""
    if not path.is_file():
        raise SettingsError(f"There is no file {path}.", hint=f"a Python file with {HINT}")
    name = f"tailrace_stubs_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own file may raise anything
        raise SettingsError(
            f"{path} cannot be loaded: {type(error).__name__}: {error}", hint=f"python {path}"
        ) from error
    named = getattr(module, NAME, None)
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
        raise SettingsError(f"{path} has no mapping {NAME!r}", hint=HINT)
    return named


def recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose calls are effects."""

    def note(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        if (notes := notes_here()) is not None:
            notes.note("call", name, "", body_of({"arguments": list(arguments), "named": dict(named)}))

    if inspect.iscoroutinefunction(function):

        async def awaited(*arguments: Any, **named: Any) -> Any:
            note(arguments, named)
            return await function(*arguments, **named)

        return awaited

    @wraps(function, assigned=())
    def called(*arguments: Any, **named: Any) -> Any:
        note(arguments, named)
        return function(*arguments, **named)

    return called


class StubbedObject:
    """What a provider's stub gives: calls of its methods are effects."""

    def __init__(self, name: str, value: Any) -> None:
        self._tailrace_name = name
        self._tailrace_value = value

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._tailrace_value, attribute)
        return recorded(f"{self._tailrace_name}.{attribute}", value) if callable(value) else value

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it, where it is a function."""
        return recorded(self._tailrace_name, self._tailrace_value)(*arguments, **named)


def _provider(name: str, stub: Callable[..., Any]) -> Callable[[], Any]:
    short = name.rpartition(".")[2]

    async def provided() -> Any:
        made = stub()
        return StubbedObject(short, await made if inspect.isawaitable(made) else made)

    return provided


def _providers(dependencies: Collection[Any]) -> Iterator[Callable[..., Any]]:
    for dependency in dependencies:
        yield dependency.provider
        yield from _providers(providers_of(dependency.provider).values())


def _resolved(name: str) -> tuple[Any, str]:
    """The owner and the attribute of a dotted name. Raises: SettingsError."""
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:size])
        try:
            owner: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
        except (ImportError, ValueError):
            continue
        for part in parts[size:-1]:
            owner = getattr(owner, part, None)
        if hasattr(owner, parts[-1]):
            return owner, parts[-1]
        break
    raise SettingsError(
        f"stubs: {name!r} names nothing that is there",
        hint="the module and the attribute as the handler calls it, such as app.send",
    )
