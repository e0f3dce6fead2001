"""A process that is killed between any two requests to a search cluster: its index becomes the table."""

from tests.crash.search import MOMENTS, run


def test_an_index_is_the_table_after_kills_before_and_after_requests() -> None:
    outcome = run(seed=5, kills=6, tell=lambda text: None)
    assert outcome.violations == []
    assert outcome.kills == dict.fromkeys(MOMENTS, 3)
    assert outcome.writes > 20
