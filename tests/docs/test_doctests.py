"""The examples in docstrings are true.

Rules of this file: every module of the package and of the examples is imported; a module that
cannot be imported fails.
"""

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import tailrace

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tailrace.__path__, "tailrace.")
    if module.name != "tailrace.__main__"  # it runs the command line when it is imported
)


def tried(module: ModuleType) -> doctest.TestResults:
    """As `doctest.testmod`, without its runs of what has no examples: at each it looks whether the source of
    any module has changed.
    """
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(module, module.__name__):
        if test.examples:
            runner.run(test)
    return runner.summarize()


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    assert tried(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    from tailrace.streams import record

    assert tried(record).attempted > 0


def test_an_example_that_is_not_true_is_found() -> None:
    module = ModuleType("lying")
    module.__doc__ = ">>> 1 + 1\n3\n"
    assert tried(module).failed == 1
