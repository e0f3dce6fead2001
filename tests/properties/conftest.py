"""How many examples of a property `make test` draws: two of five, as many as a change needs to show.

Rules of this file: all of them are drawn by `make slow` (HYPOTHESIS_PROFILE=whole, the same ones in every
run) and by `make seek` (new ones). What is planted to be found draws as often as it says.
"""

from typing import Final

import pytest
from hypothesis import settings

LEAST: Final = 10


def _fewer(of: settings) -> settings:
    return settings(of, max_examples=min(of.max_examples, max(LEAST, of.max_examples * 2 // 5)))


@pytest.hookimpl
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if settings.get_current_profile_name() != "same":
        return
    drawn = {
        getattr(item.obj, "__func__", item.obj): item.cls
        for item in items
        if isinstance(item, pytest.Function) and item.path.is_relative_to(__file__.rpartition("/")[0])
    }
    for function, group in drawn.items():
        if hasattr(function, "_hypothesis_internal_use_settings"):
            function._hypothesis_internal_use_settings = _fewer(function._hypothesis_internal_use_settings)
        elif hasattr(group, "settings"):  # a state machine
            group.settings = _fewer(group.settings)
