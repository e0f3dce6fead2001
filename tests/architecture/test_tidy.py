"""The tidy rules over the package, and over planted sources: a rule that was never seen to fail is no rule.

Rules of this file: one canary a rule. The rules themselves are in `tidy`.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tests.architecture import tidy

PACKAGE = Path(tailrace.__file__).parent
ROOT = PACKAGE.parents[1]
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}

CANARIES = {
    "module_sizes": ("engine/engine.py", "x = 1\n" * 501),
    "function_sizes": ("engine/engine.py", "def long() -> None:\n" + "    x = 1\n" * 60),
    "constructor_sizes": (
        "deadletters/run/courier.py",
        "class Courier:\n    def __init__(self, a, b, c, d, /, e, f, *, g, h): ...\n",
    ),
    "outside_assignments": ("compose.py", "worker = Worker()\nworker.courier = Courier()\n"),
    "vague_names": ("engine/utils.py", ""),
    "world_questions": ("engine/engine.py", "import time\nnow = time.monotonic()\n"),
    "times_in_numbers": ("engine/engine.py", "made_ms = record.sequence >> 20\n"),
    "prints": ("engine/engine.py", "print('here')\n"),
    "broad_excepts": ("engine/engine.py", "try:\n    pass\nexcept (ValueError, Exception):\n    pass\n"),
    "operation_headers": (
        "api/dynamodb/put_item.py",
        '"""PutItem.\n\nBehaviour: puts.\n"""\n@operation(DYNAMODB, "PutItem", INPUT)\ndef put(): ...\n',
    ),
    "module_docstrings": ("engine/engine.py", "x = 1\n"),
    "state_keys": ("engine/engine.py", "def key(app: str) -> str:\n    return f'checkpoint/{app}'\n"),
    "engine_state_reads": ("server/verbs.py", "rows = subject.engine.state.query(PREFIX)\n"),
    "public_docstrings": ("engine/engine.py", "class Engine:\n    def put(self) -> None:\n        pass\n"),
}


@pytest.mark.parametrize("rule", tidy.RULES)
def test_the_package_keeps_the_rule(rule: str) -> None:
    assert list(tidy.RULES[rule](SOURCES)) == []


@pytest.mark.parametrize("rule", tidy.RULES)
def test_the_rule_finds_what_is_planted(rule: str) -> None:
    path, text = CANARIES[rule]
    assert list(tidy.RULES[rule]({path: text})), f"the canary of {rule} was not found"


@pytest.mark.parametrize(
    "text",
    [
        "from time import monotonic\n",
        "import random\n",
        "from uuid import uuid4\n",
        "from datetime import datetime\nx = datetime.now()\n",
        "import datetime\nx = datetime.datetime.now()\n",
    ],
)
def test_every_way_to_ask_for_time_or_chance_is_found(text: str) -> None:
    assert list(tidy.world_questions({"engine/engine.py": text}))


@pytest.mark.parametrize(
    "text",
    [
        "from tailrace.streams.record import CLOCK_BITS\n",
        "from tailrace.streams import record\nx = number >> record.CLOCK_BITS\n",
        "number >>= 20\n",
        "made_ms = sequence // 2**20\n",
        "made_ms, rest = divmod(sequence, 1 << 20)\n",
    ],
)
def test_every_way_to_read_a_time_out_of_a_sequence_number_is_found(text: str) -> None:
    assert list(tidy.times_in_numbers({"engine/engine.py": text}))


@pytest.mark.parametrize(
    "text",
    [
        "row = engine.state.get(KEY.key())\n",
        "engine.state.transact([write])\n",
        "self._engine.state.count(PREFIX)\n",
        "look = subject.engine.state.query\n",
    ],
)
def test_every_way_to_go_to_the_engine_for_state_is_found(text: str) -> None:
    for path in ("server/gaps.py", "views/gaps.py", "cli/gaps.py", "runtime/watermark.py", "compose.py"):
        assert list(tidy.engine_state_reads({path: text}))
    assert list(tidy.engine_state_reads({"engine/state.py": text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "write = Write(f'novel/{app}', {})\n",
        "rows = self._engine.state.query('novel')\n",
        "prefix = 'lost-window/'\n",
        "from tailrace.rows.kinds import joined\n",
        "novel = RowKind('novel', 'app')\n",
    ],
)
def test_every_way_to_make_a_key_of_state_by_hand_is_found(text: str) -> None:
    assert list(tidy.state_keys({"server/progress.py": text}))


@pytest.mark.parametrize("path", ["clocks/system.py", "cli/demo.py", "testing/loop.py", "compose.py"])
def test_the_edge_may_ask_for_time(path: str) -> None:
    assert list(tidy.world_questions({path: "import time\nnow = time.monotonic()\n"})) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("compose_worker.py", "self.subject.worker = worker\n"),
        ("compose.py", "self._joined = self.subject.flushed = joined\n"),
        ("compose.py", "worker.declared, self.x = declared, 1\n"),
        ("compose.py", "setattr(worker, 'declared', declared)\n"),
        ("worker/worker.py", "self.redrives.group = tasks\n"),
        ("worker/worker.py", "self.windows.late += 1\n"),
        ("worker/worker.py", "@dataclass(frozen=True)\nclass Place:\n    run: str\nplace.run = ''\n"),
        ("worker/worker.py", "class Place(Struct, frozen=True):\n    run: str\nplace.run = ''\n"),
    ],
)
def test_every_way_to_set_something_on_an_object_of_another_is_found(path: str, text: str) -> None:
    assert list(tidy.outside_assignments({path: text}))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "deadletters/run/redriver.py",
            "@dataclass(slots=True)\nclass Progress:\n    done: int = 0\nprogress.done += 1\n",
        ),
        ("deadletters/run/redriver.py", "class Progress(Struct):\n    done: int = 0\nprogress.done += 1\n"),
        ("runtime/traces.py", "error.__traceback__ = None\n"),
        ("engine/engine.py", "table.due_ms = 1\n"),
        ("compose.py", "self._worker = worker\n"),
    ],
)
def test_a_value_may_be_changed_by_whoever_has_it(path: str, text: str) -> None:
    assert list(tidy.outside_assignments({path: text})) == []


def test_a_dataclass_may_have_many_fields() -> None:
    fields = "".join(f"    field_{number}: int\n" for number in range(9))
    assert list(tidy.constructor_sizes({"runtime/parts.py": f"@dataclass\nclass Parts:\n{fields}"})) == []


def test_a_comment_allows_a_broad_except() -> None:
    told = "try:\n    pass\nexcept Exception:  # the last place\n    pass\n"
    assert list(tidy.broad_excepts({"engine/engine.py": told})) == []


def test_an_except_that_raises_again_catches_nothing() -> None:
    tidying = "try:\n    pass\nexcept BaseException:\n    x = 1\n    raise\n"
    assert list(tidy.broad_excepts({"engine/engine.py": tidying})) == []


def test_no_module_is_dead() -> None:
    named = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert list(tidy.dead_modules(SOURCES, named)) == []


def test_a_dead_module_is_found() -> None:
    sources = {
        "engine/engine.py": "from tailrace.engine import query\n",
        "engine/query.py": "",
        "engine/lost.py": "",
    }
    problems = list(tidy.dead_modules(sources, "tailrace.engine.engine"))
    assert problems == ["engine/lost.py is imported by nothing: delete it, or use it"]


def test_a_port_has_at_most_five_methods_a_memory_adapter_and_a_check() -> None:
    import tailrace.ports as ports
    import tailrace.testing.contracts as contracts

    checked = {
        name.removeprefix("check_").replace("_", "") for name in vars(contracts) if name.startswith("check_")
    }
    for name, protocol in _protocols(ports):
        methods = [method for method in vars(protocol) if not method.startswith("_")]
        assert len(methods) <= 5, f"{name} has {len(methods)} methods: it is two ports"
        assert {name.lower(), f"{name.lower()}sink"} & checked, (
            f"{name} has no check in tailrace.testing.contracts"
        )


def _protocols(module: Any) -> list[tuple[str, type]]:
    return [
        (name, value)
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and getattr(value, "_is_protocol", False)
        and value.__module__ == module.__name__
    ]
