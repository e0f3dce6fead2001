"""What calls over real sockets stand on: an account in the environment, and a server that a test scripts.

Rules of this file: fixtures alone; what is no fixture is in scripted.py.
"""

from collections.abc import Iterator

import pytest

from tailrace.aws.places import KNOWN
from tests.unit.aws.scripted import Scripted, scripted


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"ID": "AKID", "SECRET": "secret"}.items():
        monkeypatch.setenv("AWS_ACCESS_KEY_ID" if name == "ID" else "AWS_SECRET_ACCESS_KEY", value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    KNOWN.forget(None)
    yield
    KNOWN.forget(None)


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as said:
        yield said
