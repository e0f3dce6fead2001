"""What makes a test depend on the day or on the machine: one function a rule, each finding says
what to do instead.

Rules of this file: a rule takes sources (path below the repository → text) and yields findings, as those of
`tidy` do. Called by `test_patience`.
"""

import ast
from collections.abc import Iterator
from typing import Final

from tests.architecture.syntax import dotted, nodes
from tests.architecture.tidy import Sources
from tests.patience import PATIENCE_S

PRESENT: Final = {
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "datetime.now",
    "datetime.utcnow",
    "datetime.today", "date.today", "datetime.datetime.now", "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today", "SystemClock",
}  # fmt: skip
MAY_ASK_FOR_THE_PRESENT: Final = {
    "tests/evidence.py": "it dates what it writes",
    "tests/shards/campaign.py": "a worker runs in real time, and its server's clock is set to it",
    "tests/fleets/app.py": "it dates the batches of a disturbed fleet, for people",
    "tests/shards/simulated.py": "a worker runs in real time",
    "tests/planned/__main__.py": "a worker runs in real time, and a plan beside it",
    "tests/unit/clocks/test_system.py": "the clock of the system is what it tests",
    "tests/contracts/test_clock.py": "the clock of the system is what it tests",
    "tests/unit/server/test_remembered.py": "what a clock of the system leaves behind is what "
    "it tests, not its time",
    "tests/unit/functions/test_naming.py": "processes of functions run in real time, and their "
    "clock dates nothing",
    "tests/unit/functions/test_runtime_client.py": "AWS's own client reads the clock of the system",
    "tests/acceptance/test_nothing_secret_is_said.py": "AWS's own client reads the clock of the system",
}
STOPWATCHES: Final = {
    "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.process_time",
    "time.thread_time", "timeit.timeit",
}  # fmt: skip
MAY_MEASURE: Final = {
    "tests/mutation/__main__.py": "the campaign says how long it took",
    "tests/patience.py": "the bound on waiting",
    "tests/unit/clocks/test_system.py": "the clock of the system is what it tests",
    "tests/simulation/campaign.py": "it prints how fast it was",
    "tests/shards/campaign.py": "it counts the calls of a second, which the server's moments alone say",
    "tests/fleets/campaign.py": "it decides when a fault begins and ends, and says how long a rest took",
    "tests/shards/simulated.py": "it counts the calls of a second",
    "tests/year/history.py": "it says how long each part of a campaign took",
    "tests/year/delivery.py": "it says how long each commit of a campaign took",
    "tests/year/places.py": "it says how long a raw COPY took",
}
BOUNDED: Final = {
    "run": None,
    "Popen": None,
    "check_call": None,
    "check_output": None,
    "communicate": 1,
    "wait": 0,
    "join": 0,
    "result": 0,
    "acquire": None,
    "get": None,
    "HTTPConnection": None,
    "create_connection": 1,
    "urlopen": None,
    "wait_for": 1,
    "timeout": 0,
    "settimeout": 0,
    "Timer": 0,
}
"""Calls that give up after a time, and which argument says so; None: only the keyword `timeout`."""


def present(sources: Sources) -> Iterator[str]:
    """A test that reads the clock of the system is another test tomorrow."""
    yield from _named(
        sources, PRESENT, MAY_ASK_FOR_THE_PRESENT, "open it at a time of its own, by a ManualClock"
    )


def stopwatches(sources: Sources) -> Iterator[str]:
    """A test that measures how long something takes fails on a busy machine."""
    yield from _named(
        sources, STOPWATCHES, MAY_MEASURE, "wait by tests/patience.py, and let make bench judge speed"
    )


def own_patience(sources: Sources) -> Iterator[str]:
    """A bound on waiting is one for all: what is enough here is too little there."""
    for path, text in sources.items():
        if path == "tests/patience.py":
            continue
        for node in nodes(text):
            if (bound := _bound(node)) is not None:
                yield (
                    f"{path}:{bound.lineno} gives up after {ast.unparse(bound)} s: take PATIENCE_S of "
                    f"tests/patience.py"
                )


def hurried_properties(sources: Sources) -> Iterator[str]:
    """A property takes as long as it takes: no deadline, and no complaint of slow draws."""
    for path, text in sources.items():
        for node in nodes(text):
            if not isinstance(node, ast.keyword) or node.arg not in ("deadline", "suppress_health_check"):
                continue
            shown = ast.unparse(node.value)
            hurried = node.arg == "deadline" and shown != "None" and "settings" in text
            complains = node.arg == "suppress_health_check" and not {"too_slow", "list(HealthCheck)"} & {
                shown,
                *(
                    attribute.attr
                    for attribute in ast.walk(node.value)
                    if isinstance(attribute, ast.Attribute)
                ),
            }
            if hurried or complains:
                yield (
                    f"{path}:{node.value.lineno} says {node.arg}={shown}: leave it out, "
                    f"tests/conftest.py has it right"
                )


RULES: Final = {rule.__name__: rule for rule in (present, stopwatches, own_patience, hurried_properties)}


def _named(sources: Sources, names: set[str], allowed: dict[str, str], instead: str) -> Iterator[str]:
    """Every use of these names, also of those that are imported from their module."""
    short = {name.rpartition(".")[2] for name in names if name.startswith(("time.", "timeit."))}
    for path, text in sources.items():
        if path in allowed:
            continue
        for node in nodes(text):
            match node:
                case ast.Attribute() | ast.Name() if (name := dotted(node)) in names:
                    yield f"{path}:{node.lineno} asks {name}: {instead}"
                case ast.ImportFrom(module="time" | "timeit", names=imported):
                    for alias in imported:
                        if alias.name in short:
                            yield f"{path}:{node.lineno} asks {alias.name}: {instead}"
                case ast.Call(func=ast.Attribute(attr="strftime"), args=[_]) if (
                    dotted(node.func) == "time.strftime" and names is PRESENT
                ):
                    yield f"{path}:{node.lineno} asks time.strftime: {instead}"
                case _:
                    pass


def _bound(node: ast.AST) -> ast.expr | None:
    """The literal after which a call, or a constant of the module, gives up."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in BOUNDED:
            place = BOUNDED[name]
            given = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
            if place is not None:
                given += node.args[place : place + 1]
            return next(filter(_is_short, given), None)
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ) if any(word in name.upper() for word in ("PATIENCE", "DEADLINE")) and _is_short(value):
            return value
        case _:
            return None


def _is_short(node: ast.expr) -> bool:
    """Whether it is a literal time below the one for all; zero asks and does not wait."""
    return (
        isinstance(node, ast.Constant)
        and type(node.value) in (int, float)
        and bool(0 < node.value < PATIENCE_S)
    )
