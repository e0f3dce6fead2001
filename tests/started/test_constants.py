"""What a test's app sets in the modules of Tailrace ends with the command that loaded it."""

from pathlib import Path

import pytest

from tailrace.projections.core import known
from tests.command_line import tailrace
from tests.constants import constants, give_back

APP = """
from tailrace import App
from tailrace.projections.core import known

known.CLAIM_MS = 7
print(known.CLAIM_MS)
app = App("shop")
orders = app.table("orders", pk="id")


@app.on(orders)
def see(change): ...
"""


def test_a_bound_that_the_app_of_a_command_sets_holds_for_that_command_alone(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    before = known.CLAIM_MS
    done = tailrace("explain", "--on", "worker", "app.py", "--endpoint", "http://127.0.0.1:9", cwd=tmp_path)
    assert "7" in (done.stdout + done.stderr).split(), "the app was loaded, in this process"
    assert known.CLAIM_MS == before != 7


def test_whoever_leaves_a_bound_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before, right = constants(), known.CLAIM_MS
    assert give_back(before) == []
    monkeypatch.setattr(known, "CLAIM_MS", right + 1)
    assert give_back(before) == ["tailrace.projections.core.known.CLAIM_MS"]
    assert right == known.CLAIM_MS
