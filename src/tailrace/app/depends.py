"""`Annotated[Mailer, Depends(mailer)]`: what a handler gets beside its change; how its signature is read.

Rules of this file: it reads signatures and refuses, naming the handler and its line; providers are called by
runtime/dependencies.py. Called by declaring.py.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from tailrace.errors import SettingsError

GIVEN: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Depends:
    """The provider of a parameter: a function, a generator (both also asynchronous) or a class.

    Guarantee: called once for each worker, before the first change that needs it; what follows the `yield` of
               a generator runs when the worker ends.
    """

    __slots__ = ("provider",)

    def __init__(self, provider: Callable[..., Any]) -> None:
        if not callable(provider):
            raise SettingsError(
                f"Depends({provider!r}): give it what makes the value: a function, not its result"
            )
        self.provider = provider

    def __repr__(self) -> str:
        return f"Depends({getattr(self.provider, '__qualname__', self.provider)})"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler asks for. Shape: `given` is the annotation of its first argument (None without one)."""

    given: Any
    dependencies: Mapping[str, Depends]


def place_of(function: Callable[..., Any]) -> str:
    """A function and its line, for messages."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f" ({code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno})"


def signature_of(name: str, handler: Callable[..., Any], word: str = "handler") -> Signature:
    """What a handler asks for. Raises: SettingsError."""
    where = f"{word} {name!r}{place_of(handler)}"
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{where}: its signature cannot be read: {error}") from error
    hints = hints_of(where, handler, parameters)
    first = next(
        (
            parameter
            for parameter in parameters
            if parameter.kind in (*GIVEN, inspect.Parameter.VAR_POSITIONAL)
        ),
        None,
    )
    if first is None or _dependency(where, first, hints) is not None:
        raise SettingsError(
            f"{where} is called with one argument, a Change or a Batch, and takes none: def "
            f"{name}(change: Change[…])"
        )
    return Signature(
        hints.get(first.name),
        _dependencies(where, [parameter for parameter in parameters if parameter is not first], hints),
    )


def providers_of(provider: Callable[..., Any]) -> Mapping[str, Depends]:
    """What a provider itself depends on. Raises: SettingsError."""
    where = f"provider {getattr(provider, '__qualname__', provider)!r}{place_of(provider)}"
    try:
        parameters = list(inspect.signature(provider).parameters.values())
    except (TypeError, ValueError):
        return {}  # a built-in without a signature is called without arguments
    return _dependencies(where, parameters, hints_of(where, provider, parameters))


def check_cycles(name: str, dependencies: Mapping[str, Depends], above: tuple[Any, ...] = ()) -> None:
    """Refuse providers that need each other. Raises: SettingsError."""
    for dependency in dependencies.values():
        if dependency.provider in above:
            names = " → ".join(
                str(getattr(provider, "__qualname__", provider)) for provider in (*above, dependency.provider)
            )
            raise SettingsError(
                f"handler {name!r}: these providers need each other: {names}; one of them has to do without"
            )
        check_cycles(name, providers_of(dependency.provider), (*above, dependency.provider))


def _dependencies(
    where: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> Mapping[str, Depends]:
    dependencies: dict[str, Depends] = {}
    for parameter in parameters:
        dependency = _dependency(where, parameter, hints)
        if dependency is not None:
            dependencies[parameter.name] = dependency
        elif parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        ):
            raise SettingsError(
                f"{where}: nothing provides {parameter.name!r}: write {parameter.name}: Annotated[…, "
                "Depends(provider)], or give it a default"
            )
    return dependencies


def _dependency(where: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Depends | None:
    if isinstance(parameter.default, Depends):
        raise SettingsError(
            f"{where}: {parameter.name}={parameter.default!r} stands where the default stands: write "
            f"{parameter.name}: Annotated[…, {parameter.default!r}], which type checkers understand"
        )
    annotation = hints.get(parameter.name)
    if annotation is Depends or isinstance(annotation, Depends):
        raise SettingsError(f"{where}: {parameter.name}: write Annotated[the type, Depends(provider)]")
    if get_origin(annotation) is not Annotated:
        return None
    marked = [mark for mark in get_args(annotation)[1:] if isinstance(mark, Depends) or mark is Depends]
    if len(marked) > 1 or Depends in marked:
        raise SettingsError(f"{where}: {parameter.name}: one Depends(provider) is needed, with its provider")
    return next((mark for mark in marked if isinstance(mark, Depends)), None)


def hints_of(where: str, function: Callable[..., Any], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """The annotations of a function's parameters, as far as they can be evaluated. Raises: SettingsError."""
    called = function if inspect.isfunction(function) else getattr(function, "__call__", function)  # noqa: B004
    if inspect.isclass(function):
        called = function.__init__
    try:
        return get_type_hints(inspect.unwrap(called), include_extras=True)
    except (NameError, TypeError):
        # A type that exists only for the type checker, or inside a function: what is marked is still seen,
        # one by one.
        return {parameter.name: _hint(where, function, parameter) for parameter in parameters}


def _hint(where: str, function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    names = dict(getattr(inspect.unwrap(function), "__globals__", {}))
    code = inspect.unwrap(function)
    names.update(inspect.getclosurevars(code).nonlocals if inspect.isfunction(code) else {})
    try:
        return eval(annotation, names)  # what get_type_hints does, for this parameter alone
    except Exception as error:  # an annotation is any expression, and fails in any way
        if "Depends" in annotation:
            raise SettingsError(
                f"{where}: {parameter.name}: {annotation}: {error}; import what it names outside of "
                "TYPE_CHECKING"
            ) from error
        return None
