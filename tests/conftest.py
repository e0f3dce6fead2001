"""What holds for every test.

Rules of this file: the environment of a test run must not change what is tested. A run in the background may
have been started with SIGINT ignored, and children inherit that: then Ctrl-C, which the tests send to them,
would do nothing. Nor may the account of the developer who runs them: a sink of an example must not reach a
real bus, and says another thing where there are credentials. Nor may the day, a faked one included. Nothing
may reach another machine: a test that does fails (tests/started).

Properties draw the same examples in every run, so that a change fails for what it changed and not for a draw
that it met first; `HYPOTHESIS_PROFILE=seek` draws new ones (`make seek`), `whole` as many of the same as
a property asks for (tests/properties/conftest.py). However long a draw takes, it is no
failure: the machine may be busy.
"""

import gc
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.constants import constants, give_back
from tests.started import tests_on_a_faked_day, tests_stay_on_loopback

signal.signal(signal.SIGINT, signal.default_int_handler)

for name in [
    variable for variable in os.environ if variable.startswith("AWS_") and variable != "AWS_CA_BUNDLE"
]:
    del os.environ[name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [tests_stay_on_loopback.FOLDER, os.environ.get("PYTHONPATH")])
)
BEYOND = Path(tempfile.mkdtemp(prefix="tailrace-tests-")) / "beyond-loopback"
"""What this process and those that its tests start said to other machines, or wanted to."""
os.environ[tests_stay_on_loopback.FILE] = str(BEYOND)
tests_stay_on_loopback.guard()

SIGNALLED = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
LOGGED = logging.getLogger().level
YOUNG = 20_000
"""After so many new objects garbage is collected; 700 if nothing is said."""
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
if tests_on_a_faked_day.IS_BROKEN:
    os.environ.setdefault("FAKETIME_FORCE_MONOTONIC_FIX", "0")  # as tests/someday.sh has it

settings.register_profile("same", PATIENT, derandomize=True)
settings.register_profile("whole", PATIENT, derandomize=True)
settings.register_profile("seek", PATIENT, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays until the end: no collector of garbage need look at it, now or later. Where
    tests make much that lives for one test, it comes less often: a tenth of their time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(YOUNG)
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def constants_are_given_back() -> Iterator[None]:
    """Fail the last test of a module that lets the modules after it run with a bound of its own."""
    before = constants()
    yield
    if changed := give_back(before):
        pytest.fail(f"{', '.join(changed)}: set and not given back: tests.constants", pytrace=False)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Fail a test of which something talked to another machine, whatever became of that, or that lets the
    ones after it log more than they think. Signals do again what they did: a command that was run in this
    process takes them for its end.
    """
    yield
    for number, handler in SIGNALLED.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    root = logging.getLogger()
    if root.level != LOGGED:
        root.setLevel(LOGGED)
        pytest.fail(
            "logging was set up and not taken back: tests.command_line.logging_of_its_own", pytrace=False
        )
    if BEYOND.exists():
        words = BEYOND.read_text()
        BEYOND.unlink()
        pytest.fail(f"tests talk to loopback only:\n{words}", pytrace=False)


def pytest_unconfigure() -> None:
    """Take away the place for what was said."""
    BEYOND.unlink(missing_ok=True)
    BEYOND.parent.rmdir()
