"""How a canary is judged: a check must name the rule that the broken adapter breaks.

Rules of this file: a canary changes one thing about an adapter that keeps its contract.
"""

from collections.abc import Callable

import pytest

from tailrace.testing import ContractBroken


def breaks(rule: Callable[..., object], check: Callable[[], None]) -> None:
    """The check fails, and its message says this rule."""
    words = (rule.__doc__ or "").splitlines()[0]
    assert words
    with pytest.raises(ContractBroken) as caught:
        check()
    assert words in str(caught.value)
