"""The pytest plugin: the fixture `world`, and the seed of a world in the report of a test that failed.

Rules of this file: pytest loads it in every project that has tailrace installed, so it imports nothing of tailrace until the
fixture is used.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tailrace.testing.world import World


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--world-seed N` replays a failure."""
    parser.getgroup("tailrace").addoption(
        "--world-seed", type=int, default=None, metavar="N", help="run every `world` with this seed"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker that gives a world its app and settings."""
    config.addinivalue_line(
        "markers", "world(app, **settings): the app and the settings of the fixture `world` (tailrace)"
    )


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator["World"]:
    """Engine, handlers and clock in one process: `world.use(app)`, or `@pytest.mark.world(app, shards=4)`."""
    from tailrace.testing.world import World

    marker = request.node.get_closest_marker("world")
    arguments: tuple[Any, ...] = () if marker is None else marker.args
    settings: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    seed = request.config.getoption("--world-seed")
    if seed is not None:
        settings["seed"] = seed
    made = World(*arguments, **settings)
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the seed of a failed test's world."""
    report = yield
    made = getattr(item, "funcargs", {}).get("world")
    seed = getattr(made, "seed", None)
    if report.failed and seed is not None:
        report.sections.append(("tailrace world", f"seed {seed}: pytest --world-seed {seed} replays it"))
    return report
