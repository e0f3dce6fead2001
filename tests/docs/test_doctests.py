"""The examples in docstrings are true.

Rules of this file: every module of the package and of the examples is imported; a module that
cannot be imported fails.
"""

import doctest
import importlib
import pkgutil

import pytest

import tailrace

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tailrace.__path__, "tailrace.")
    if module.name != "tailrace.__main__"  # it runs the command line when it is imported
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples() -> None:
    from tailrace.streams import record

    assert doctest.testmod(record).attempted > 0
