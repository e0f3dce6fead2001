"""How a canary is judged: a check must name the rule that the broken adapter breaks.

Rules of this file: a canary changes one thing about an adapter that keeps its contract. Every rule has an
adapter of its own, so of an asynchronous contract the others need not be run.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest

from tailrace.testing import ContractBroken
from tailrace.testing.contracts import rules

run_one = rules._run_one


def breaks(rule: Callable[..., object], check: Callable[[], None]) -> None:
    """The check fails, and its message says this rule."""
    words = (rule.__doc__ or "").splitlines()[0]
    assert words

    async def only_that(checked: Callable[[Any], Awaitable[None]], make: Callable[[], Any]) -> None:
        if (inspect.getdoc(checked) or "").startswith(words):
            await run_one(checked, make)

    with mock.patch.object(rules, "_run_one", only_that), pytest.raises(ContractBroken) as caught:
        check()
    assert words in str(caught.value)
