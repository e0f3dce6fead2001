"""Rules and how they are run: one function a rule, its docstring's first line is the rule in words.

Rules of this file: a rule gets a new adapter and says what it saw through `same` and `holds`. Whatever else
goes wrong inside a rule breaks that rule too, with the cause chained. Called by the checks of this package.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from tailrace.app.sinking import Closes
from tailrace.ports import Clock, Sink

Adapter = TypeVar("Adapter")
ErrorT = TypeVar("ErrorT", bound=Exception)
Broken: TypeAlias = tuple[Callable[..., object], Exception]
PATIENCE_S: Final = 10.0
"""How long an adapter may take for what ought to happen at once."""


class ContractBroken(AssertionError):
    """An adapter does not keep its port's contract: the message names each broken rule and what was seen."""


def same(seen: object, expected: object, subject: str) -> None:
    """Two values are equal. Raises: ContractBroken."""
    if seen != expected:
        raise ContractBroken(f"{subject}: expected {_short(expected)}, saw {_short(seen)}")


def holds(statement: bool, otherwise: str) -> None:
    """A statement is true. Raises: ContractBroken."""
    if not statement:
        raise ContractBroken(otherwise)


def refused(error: type[ErrorT], action: Callable[[], object], subject: str) -> ErrorT:
    """An action raises this error. Returns: it. Raises: ContractBroken when it does not."""
    try:
        action()
    except error as raised:
        return raised
    raise ContractBroken(f"{subject}: {error.__name__} was expected, nothing was raised")


def run(rules: Sequence[Callable[[Adapter], None]], make: Callable[[], Adapter]) -> None:
    """Every rule on an adapter of its own, which is closed afterwards if it can be.

    Raises:  ContractBroken with all that broke.
    """
    broken: list[Broken] = []
    for rule in rules:
        try:
            adapter = make()
            try:
                rule(adapter)
            finally:
                if isinstance(adapter, Closes):
                    adapter.close()
        except Exception as error:  # whatever an adapter raises where it must not breaks the rule
            broken.append((rule, error))
    _report(broken)


def run_async(rules: Sequence[Callable[[Adapter], Awaitable[None]]], make: Callable[[], Adapter]) -> None:
    """As `run`, each rule in an event loop of its own, in which the adapter is made too."""
    broken: list[Broken] = []
    for rule in rules:
        try:
            asyncio.run(_run_one(rule, make))
        except Exception as error:  # whatever an adapter raises where it must not breaks the rule
            broken.append((rule, error))
    _report(broken)


class TwoSinks(Protocol):
    """What a rule of two sinks over one target works with."""

    @property
    def sink(self) -> Sink:
        """One."""

    @property
    def other(self) -> Sink:
        """The other, as another worker has it."""


PlaceT = TypeVar("PlaceT", bound=TwoSinks)


def with_both_open(
    rules: Sequence[Callable[[PlaceT], Awaitable[None]]], clock: Clock
) -> list[Callable[[PlaceT], Awaitable[None]]]:
    """The same rules, each on sinks that are open while it runs."""

    def opened(rule: Callable[[PlaceT], Awaitable[None]]) -> Callable[[PlaceT], Awaitable[None]]:
        async def run(place: PlaceT) -> None:
            for sink in (place.sink, place.other):
                await sink.open(clock)
            try:
                await rule(place)
            finally:
                for sink in (place.sink, place.other):
                    await sink.close()

        run.__doc__ = rule.__doc__
        return run

    return [opened(rule) for rule in rules]


async def _run_one(rule: Callable[[Adapter], Awaitable[None]], make: Callable[[], Adapter]) -> None:
    async with asyncio.timeout(PATIENCE_S * 3):
        adapter = make()
        try:
            await rule(adapter)
        finally:
            if isinstance(adapter, Closes):
                await finished(adapter.close())


async def finished(value: Any) -> Any:
    """The value, awaited when it is awaitable: what users pass in may be of either kind."""
    return await value if inspect.isawaitable(value) else value


def _report(broken: Sequence[Broken]) -> None:
    if broken:
        raise ContractBroken("\n".join(_in_words(*breach) for breach in broken)) from broken[0][1]


def _in_words(rule: Callable[..., object], error: Exception) -> str:
    words = (inspect.getdoc(rule) or repr(rule)).splitlines()[0]
    seen = str(error) if isinstance(error, ContractBroken) else f"{type(error).__name__}: {error}"
    return f"broken rule: {words}\n  {seen}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
