"""Calling providers: what handlers depend on, made once for each worker.

Rules of this file: a provider is called before the first change that needs it, and never twice; what follows
its `yield` runs when the worker ends, the last one first. A provider that fails is an outage, not a change's
fault: it is tried again. Made by `compose_worker`.
"""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tailrace.app.depends import Depends, place_of, providers_of
from tailrace.app.fence import FENCE, told
from tailrace.errors import Unavailable
from tailrace.runtime.threads import in_thread

Provider = Callable[..., Any]


class Dependencies:
    """The values of one worker. Shape: `overrides` are providers and what stands for them."""

    def __init__(self, overrides: Mapping[Provider, Provider] | None = None) -> None:
        self._overrides = {} if overrides is None else overrides
        self._values: dict[Provider, Any] = {}
        self._closing: list[tuple[Provider, Callable[[], Awaitable[None]]]] = []
        self._locks: defaultdict[Provider, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def resolve(self, dependencies: Mapping[str, Depends]) -> dict[str, Any]:
        """The arguments for these parameters. Raises: Unavailable when a provider fails."""
        if not dependencies:
            return {}
        return {name: await self._value(dependency.provider) for name, dependency in dependencies.items()}

    async def _value(self, declared: Provider) -> Any:
        provider = self._overrides.get(declared, declared)
        async with self._locks[provider]:  # one that hangs holds up those who need it, and no others
            return await self._value_of(provider)

    async def _value_of(self, provider: Provider) -> Any:
        if provider not in self._values:
            arguments = {
                name: await self._value(dependency.provider)
                for name, dependency in providers_of(provider).items()
            }
            try:
                with FENCE:
                    self._values[provider] = await self._made(provider, arguments)
            except Exception as error:  # the user's code, which fails in any way
                name = getattr(provider, "__qualname__", provider)
                raise Unavailable(
                    f"Depends({name}){place_of(provider)} failed: {told(error)}",
                    hint="it is called again; `tailrace pause HANDLER` stops that",
                ) from error
        return self._values[provider]

    async def _made(self, provider: Provider, arguments: Mapping[str, Any]) -> Any:
        if inspect.isasyncgenfunction(provider):
            making = provider(**arguments)
            value = await anext(making)
            self._closing.append((provider, lambda: _finish(making)))
            return value
        if inspect.isgeneratorfunction(provider):
            steps = provider(**arguments)
            value = await in_thread(_first, steps)
            self._closing.append((provider, lambda: in_thread(_exhaust, steps)))
            return value
        if inspect.iscoroutinefunction(provider):
            return await provider(**arguments)
        made = await in_thread(lambda: provider(**arguments))
        return await made if inspect.isawaitable(made) else made

    async def close(self) -> None:
        """Run what follows the providers' `yield`. Raises: the failures, after all of them ran.
        Repeatable.
        """
        failures: list[Exception] = []
        while self._closing:
            provider, finish = self._closing.pop()
            self._values.pop(provider, None)
            try:
                with FENCE:
                    await finish()
            except Exception as error:  # the user's code; the others are closed all the same
                error.add_note(f"while Depends({getattr(provider, '__qualname__', provider)}) was cleaned up")
                failures.append(error)
        self._values.clear()
        if failures:
            raise ExceptionGroup("dependencies were not cleaned up", failures)


async def _finish(making: Any) -> None:
    async for _ in making:
        raise RuntimeError("a provider yields once: what follows is its clean-up")


def _first(steps: Any) -> Any:
    for value in steps:
        return value
    raise RuntimeError("the provider yields nothing")


def _exhaust(steps: Any) -> None:
    for _ in steps:
        raise RuntimeError("a provider yields once: what follows is its clean-up")
