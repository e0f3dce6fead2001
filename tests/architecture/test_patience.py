"""No test depends on the day or on the speed of the machine, and the rules that say so are seen to fail."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.architecture import patience

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "flights" / "demo"
"""What a command runs is no test: it measures, and lives in a time of its own."""
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("tests", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in path.parts and path != Path(__file__) and DEMO not in path.parents
}
CANARIES = {
    "present": [
        "import time\nnow = time.time()\n", "from time import time_ns\n",
        "import time\nday = time.strftime('%Y')\n",
        "from datetime import datetime, UTC\nnow = datetime.now(UTC)\n",
        "import datetime\nx = datetime.date.today()\n",
        "from tailrace.clocks.system import SystemClock\nclock = SystemClock()\n",
    ],
    "stopwatches": [
        "import time\nbegun = time.monotonic()\n", "from time import perf_counter\n",
        "import time\nassert time.perf_counter() < 1\n",
    ],
    "own_patience": [
        "import subprocess\nsubprocess.run(['x'], timeout=60)\n", "process.communicate(timeout=5)\n",
        "process.wait(30)\n",
        "thread.join(5)\n", "future.result(10)\n", "event.wait(timeout=.5)\n",
        "await_ = asyncio.timeout(20)\n",
        "asyncio.wait_for(x, 5)\n", "http.client.HTTPConnection('h', 1, timeout=10)\n", "PATIENCE_S = 20.0\n",
        "DEADLINE_S: float = 3\n", "socket.create_connection(('h', 1), 2)\n",
    ],
    "hurried_properties": [
        "@settings(deadline=200)\ndef test(): ...\n",
        "settings(suppress_health_check=[HealthCheck.filter_too_much])\n",
    ],
}  # fmt: skip


@pytest.mark.parametrize("rule", patience.RULES)
def test_no_test_depends_on_the_day_or_on_the_machine(rule: str) -> None:
    assert list(patience.RULES[rule](SOURCES)) == []


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in CANARIES.items() for text in texts]
)
def test_the_rule_finds_what_is_planted(rule: str, text: str) -> None:
    assert list(patience.RULES[rule]({"tests/unit/test_canary.py": text}))


@pytest.mark.parametrize("rule", patience.RULES)
def test_every_rule_has_a_canary(rule: str) -> None:
    assert CANARIES[rule]


@pytest.mark.parametrize("path", [*patience.MAY_ASK_FOR_THE_PRESENT, *patience.MAY_MEASURE])
def test_who_is_allowed_more_is_there_and_needs_it(path: str) -> None:
    plain = {"tests/unit/test_other.py": SOURCES[path]}
    assert any(list(rule(plain)) for rule in patience.RULES.values())


@given(st.integers())
def test_a_property_has_no_deadline_and_may_draw_slowly(number: int) -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
    assert number == number
