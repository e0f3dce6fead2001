"""What tests of a sealed world stand on: the state of the process before and after, and credentials.

Rules of this file: what is compared is what `tailrace.testing.sealing` patches, and what it must not.
"""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

LOOKED_AT = ((socket.socket, ("connect", "connect_ex", "sendto", "sendmsg")),
             (socket, ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")),
             (time, ("sleep",)))  # fmt: skip


def state_of_the_process() -> list[Any]:
    """What a world lays something over."""
    from botocore.client import BaseClient
    from botocore.httpsession import URLLib3Session

    from tailrace.aws import client

    owners = (
        *LOOKED_AT,
        (client, ("about_to_send",)),
        (URLLib3Session, ("send",)),
        (BaseClient, ("_make_api_call",)),
    )
    return [vars(owner).get(name, "only inherited") for owner, names in owners for name in names]


@pytest.fixture
def the_process_is_as_it_was() -> Iterator[None]:
    before = state_of_the_process()
    yield
    assert state_of_the_process() == before


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a developer's machine has."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "real")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
