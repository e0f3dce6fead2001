"""The metrics of a worker whose state cannot be reached: what it knows by itself, and that it cannot.

Rules of this file: the state is at a server of its own, which a test kills.
"""

from pathlib import Path

from tests.acceptance.test_unread_shards import LAG, LEFT, PROGRESS, figure
from tests.fleet import fleet
from tests.patience import eventually

AWAY = 'tailrace_unreachable_seconds{what="state"}'
HANDLED = 'tailrace_changes_total{handler="note",outcome="handled"}'
CALLS = 'tailrace_source_calls_total{operation="get_records",result="ok"}'
COST = "tailrace_source_cost_usd_total"


def test_a_scrape_is_answered_while_the_state_is_away_and_says_for_how_long(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        ground.keep_state_in_dynamodb()
        state = ground.commands[-1]
        ground.create_state()
        ground.create_table()
        worker = ground.worker("--read-price", "1000000")
        ground.wait(ground.write(1, 0, 1))
        said = lambda: worker.get("/metrics")[1]  # noqa: E731
        eventually(lambda: figure(worker, HANDLED) == 1, said)
        assert figure(worker, AWAY) == 0
        state.close()
        eventually(lambda: (figure(worker, AWAY) or 0) > 1, said)
        status, text = worker.get("/metrics")
        assert status == 200
        assert all(f"\n{name} " in text for name in (LAG, LEFT, PROGRESS)), "they are never absent"
        assert f"\n{HANDLED} 1.0\n" in text, "as it was seen last"
        assert figure(worker, COST) == figure(worker, CALLS), "a dollar each, as was said"
        assert worker.get("/ready")[0] == 503
