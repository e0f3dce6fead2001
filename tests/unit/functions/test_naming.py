"""The name that was given is what runs: never what a callable says of itself."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace import App
from tailrace.cli.failures import CommandFailure
from tailrace.cli.serve import read_functions
from tailrace.clocks.system import SystemClock
from tailrace.functions.pool import ProcessRunner
from tailrace.functions.runners import Runners
from tailrace.testing import World
from tests.unit.functions import wrapped
from tests.unit.functions.test_pool import ARN, using

NAMED = {
    "lambda_handler": ("middleware", wrapped.lambda_handler),
    "other_handler": ("careless", wrapped.other_handler),
    "service": ("object", wrapped.service),
}


def runner_of(function: str | Callable[..., Any]) -> ProcessRunner:
    app = App("shop")
    app.function(function, app.table("orders", pk="id"))
    runner = Runners(SystemClock(), in_processes=True).of(app.mappings[0])
    assert isinstance(runner, ProcessRunner), "it runs in the node's own process"
    return runner


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("is_named", [True, False])
def test_what_was_given_runs_in_its_process_and_not_what_it_wraps(name: str, is_named: bool) -> None:
    through, function = NAMED[name]
    code = runner_of(f"tests.unit.functions.wrapped:{name}" if is_named else function)._code
    assert (code.module, code.attribute) == ("tests.unit.functions.wrapped", name)

    async def use(runner: ProcessRunner) -> Any:
        return json.loads(await runner.invoke(b"{}", "r", ARN))

    assert using(code, use) == {"through": through, "said": "bare"}


def test_a_function_is_in_the_region_of_its_node() -> None:
    app = App("shop")
    app.function("tests.unit.functions.wrapped:service.tally", app.table("orders", pk="id"))
    runner = Runners(SystemClock(), in_processes=True, region="eu-west-1").of(app.mappings[0])
    assert isinstance(runner, ProcessRunner)
    environment = runner.environment()
    assert (environment["AWS_REGION"], environment["AWS_DEFAULT_REGION"]) == ("eu-west-1", "eu-west-1")


def test_an_attribute_of_an_object_may_be_named() -> None:
    code = runner_of("tests.unit.functions.wrapped:service.tally")._code

    async def use(runner: ProcessRunner) -> Any:
        return json.loads(await runner.invoke(b"{}", "r", ARN))

    assert using(code, use) == "bare"


def test_a_method_is_not_taken_for_the_function_of_its_class(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop")
    app.function(wrapped.service.tally, app.table("orders", pk="id"))
    with caplog.at_level(logging.WARNING, "tailrace.handlers"):
        runner = Runners(SystemClock(), in_processes=True).of(app.mappings[0])
    assert not isinstance(runner, ProcessRunner)
    assert "app.function('module:attribute', …)" in caplog.text


def test_the_mapping_of_a_named_function_has_that_name_and_a_world_runs_it() -> None:
    calls: list[Any] = []
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.function("tests.unit.functions.wrapped:lambda_handler", orders)
    (mapping,) = app.mappings
    assert (mapping.id, mapping.function_name) == ("lambda_handler", "lambda_handler")
    assert mapping.target is wrapped.lambda_handler
    app.function(lambda event, context: calls.append(event), orders, id="beside")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert world.delivered(wrapped.lambda_handler) == ["o1"]
    assert len(calls) == 1


MODULE = """
import logging, os, sys
logging.getLogger("tailrace").addFilter(lambda record: False)
print("loaded by", os.getpid(), flush=True)
{}
def tally(event, context):
    return os.getpid()
"""
PROGRAM = """
import json, logging, sys
from tailrace.cli.serve import read_functions
(function,) = read_functions(("tally=shop.handlers:tally",)).values()
from tailrace import App
from tailrace.app.code_version import code_version
app = App("shop")
app.function(function, app.table("orders", pk="id"))
versions = [code_version(each) for each in app.mappings]
modules = [name for name in sys.modules if name.startswith("shop")]
print(json.dumps([modules, logging.getLogger("tailrace").filters, versions]))
"""


@pytest.mark.parametrize("more", ["", "os._exit(3)", "sys.exit(4)", "os.environ['ONLY_THERE']"])
def test_a_server_imports_no_module_of_its_functions(tmp_path: Path, more: str) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "handlers.py").write_text(MODULE.format(more))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
    )
    modules, filters, (version,) = json.loads(ran.stdout)
    assert (modules, filters) == ([], [])
    assert len(version) == 12
    assert "loaded by" in ran.stderr


@pytest.mark.parametrize(
    ("place", "words"),
    [("no_such_module:f", "No module named 'no_such_module'"), ("json:f", "has no attribute 'f'"),
     ("json:__name__", "no function")],
)  # fmt: skip
def test_a_function_that_is_not_there_is_refused_at_the_start(place: str, words: str) -> None:
    with pytest.raises(CommandFailure, match=words):
        read_functions(("good=json:dumps", f"bad={place}"))
