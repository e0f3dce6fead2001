"""The pytest plugin: the fixture `world`, its options, and the world in the report of a test that failed.

Theory of operation: a test that failed under injected faults is run again with fewer and fewer of them, with
the same seed, until none can be left out; so the report names the faults that matter.
Rules of this file: pytest loads it wherever tailrace is installed, so it imports nothing of tailrace until
the fixture is used.
"""

import os
import shlex
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from tailrace.testing.world import World

RERUNS: Final = 100
EVENTS: Final = 20


@dataclass(frozen=True, slots=True)
class WorldFailure:
    """How a test failed in its world.

    Shape:   `place` tells failures apart; `is_small` when there is nothing to make smaller.
    """

    seed: int
    struck: tuple[str, ...]
    strikes: str
    place: tuple[str, int]
    is_small: bool
    moment: str
    events: tuple[str, ...]


FAILED: Final = pytest.StashKey[WorldFailure | None]()
REPLAYED: Final = pytest.StashKey[tuple[int, tuple[str, ...] | None]]()
"""The seed and the faults of a run that is repeated to make a failure smaller."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What replays a failure, and how much is said about it."""
    group = parser.getgroup("tailrace", "tailrace: tests in a world of virtual time")
    group.addoption(
        "--tailrace-seed",
        type=int,
        default=None,
        metavar="N",
        help="run every `world` with this seed: a failure prints the seed that replays it",
    )
    group.addoption(
        "--tailrace-faults",
        default=None,
        metavar="NAMES",
        help="of the faults of `world.faults`, let only these strike, e.g. 'duplicate.3 crash-invoke.done.1'",
    )
    group.addoption(
        "--tailrace-shrink",
        type=int,
        default=RERUNS,
        metavar="N",
        help="run a test that failed under faults at most N times again to find those that matter "
        f"(default {RERUNS}; 0: never)",
    )
    group.addoption(
        "--tailrace-events",
        type=int,
        default=EVENTS,
        metavar="N",
        help=f"so many of the last events of its world stand in the report of a failure (default {EVENTS})",
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
    asked = request.config.getoption("--tailrace-faults")
    seed, only = request.config.getoption("--tailrace-seed"), None if asked is None else tuple(asked.split())
    seed, only = request.node.stash.get(REPLAYED, (seed, only))
    if seed is not None:
        settings["seed"] = seed
    made = World(*arguments, **settings)
    if only is not None:
        made.only(only)
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that passes although a handler gave up on what it did not look at."""
    __tracebackhide__ = True
    yield
    made: Any = getattr(item, "funcargs", {}).get("world")
    if hasattr(made, "check_failures"):
        made.check_failures()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a test failed in its world."""
    report = yield
    made: World | None = getattr(item, "funcargs", {}).get("world")
    if call.when == "call" and report.failed and call.excinfo is not None and hasattr(made, "struck"):
        assert made is not None
        crash = call.excinfo.traceback[-1]
        item.stash[FAILED] = WorldFailure(
            made.seed,
            tuple(made.struck),
            made.strikes,
            (str(crash.path), crash.lineno),
            hasattr(call.excinfo.value, "replay"),
            f"{made.moment:%Y-%m-%d %H:%M:%S}",
            tuple(made.events(item.config.getoption("--tailrace-events"))),
        )
    return report


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that uses a world; when it fails, say what its world was, and make the failure smaller."""
    if "world" not in getattr(item, "fixturenames", ()):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    failed = item.stash.get(FAILED, None)
    if failed is not None:
        lines = _section(item, nextitem, failed)
        for report in reports:
            if report.when == "call":
                report.sections.append(("tailrace world", "\n".join(lines)))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _section(item: pytest.Item, nextitem: pytest.Item | None, failed: WorldFailure) -> list[str]:
    """What the report of a failed test says of its world, with the faults that matter."""
    again = f"pytest {shlex.quote(item.nodeid)} --tailrace-seed {failed.seed}"
    lines = [
        f"seed {failed.seed}, virtual time {failed.moment}, {len(failed.struck)} injected faults"
        + (f" ({failed.strikes})" if failed.strikes else ""),
        f"replay: {again}",
    ]
    most = item.config.getoption("--tailrace-shrink")
    if failed.struck and most > 0 and not failed.is_small and not item.config.getoption("usepdb"):
        faults = Reruns(item, nextitem, failed, most).smallest()
        if faults is None:
            lines.append(
                "run again with the same seed it passes: something outside of the world is left to "
                "chance, or kept"
            )
        else:
            words = " ".join(faults)
            lines.append(f"of its {len(failed.struck)} faults these matter: {words or 'none of them'}")
            lines.append(f"replay: {again} --tailrace-faults {shlex.quote(words)}")
    hash_seed = os.environ.get("PYTHONHASHSEED", "")
    if not hash_seed.isdecimal():  # the world itself needs none; a handler may
        lines.append(
            "a handler that walks through a set of texts may do so in another order in another process: "
            "PYTHONHASHSEED is not set, and a number there lets it replay too"
        )
    elif hash_seed != "0":
        lines[1] = lines[1].replace("replay: ", f"replay: PYTHONHASHSEED={hash_seed} ")
    if failed.events:
        lines += [f"the last {len(failed.events)} events:", *(f"  {event}" for event in failed.events)]
    return lines


class Reruns:
    """Runs one test again and again, with the seed of its failure and fewer faults."""

    def __init__(
        self, item: pytest.Item, nextitem: pytest.Item | None, failed: WorldFailure, most: int
    ) -> None:
        self._item = item
        self._nextitem = nextitem
        self._failed = failed
        self._most = most

    def smallest(self) -> list[str] | None:
        """The faults that matter; None when it does not even fail with all of them."""
        from tailrace.testing.schedules import shrunk

        if not self.fails(self._failed.struck):
            return None
        faults, _ = shrunk(self._failed.struck, self.fails, self._most - 1)
        return faults

    def fails(self, only: Sequence[str]) -> bool:
        """Whether it fails at the same place when only these strike."""
        item: Any = self._item
        item.stash[REPLAYED] = (self._failed.seed, tuple(only))
        item.stash[FAILED] = None
        item._initrequest()
        runtestprotocol(item, log=False, nextitem=self._nextitem)
        del item.stash[REPLAYED]
        again = item.stash[FAILED]
        return again is not None and bool(again.place == self._failed.place)
