"""What AWS refuses for the caller's sake is an outage: a worker lives, says each minute what helps, and goes
on by itself when it is good again, with the credentials that are there then.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.testing.proxy import Proxy, Refuse
from tests.fleet import TERM, Command, Fleet, fleet
from tests.patience import eventually

LOG_IN = "aws sso login"
ALLOW = "allow the action dynamodb:"
SET_THE_CLOCK = "set this machine's clock"
REFUSALS = {
    "expired credentials": (
        Refuse("ExpiredTokenException", "The security token included in the request is expired"), LOG_IN,
    ),
    "unknown credentials": (
        Refuse("UnrecognizedClientException", "The security token included in the request is invalid."),
        LOG_IN,
    ),
    "a wrong secret": (
        Refuse("InvalidSignatureException", "The request signature we calculated does not match"), LOG_IN,
    ),
    "a clock that is wrong, as DynamoDB says it": (
        Refuse("InvalidSignatureException", "Signature expired: 20261128T100000Z is now earlier than"),
        SET_THE_CLOCK,
    ),
    "a clock that is wrong": (
        Refuse("RequestTimeTooSkewed", "The difference between the request time and the time is too large"),
        SET_THE_CLOCK,
    ),
    "denied access": (Refuse("AccessDeniedException", "is not authorized to perform"), ALLOW),
}  # fmt: skip
"""What AWS answers, and how the words begin that help. Source: reference/fleet §1.3."""


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    """A server with the app's table, and a place for state."""
    with fleet(tmp_path) as ground:
        ground.create_state()
        ground.create_table()
        yield ground


def outages(worker: Command) -> list[dict[str, str]]:
    """The warnings of a worker, in order."""
    lines = [json.loads(line) for line in list(worker.errors)]
    return [line for line in lines if line["level"] == "warning"]


def test_every_refusal_is_told_with_what_helps_and_outlived(ground: Fleet) -> None:
    """One worker, one refusal after the other: of reads, and of everything."""
    with Proxy(ground.endpoint) as proxy:
        ground.behind = proxy.url
        worker = ground.worker()
        changes = ground.write(1, 0, 1)
        ground.wait(changes)
        for number, (refusal, hint) in enumerate(REFUSALS.values(), 1):
            before = len(outages(worker))
            proxy.on("GetRecords", refusal).on("GetShardIterator", refusal)
            change = ground.write(1, number, number + 1)
            eventually(lambda before=before: len(outages(worker)) > before, lambda: "no outage was told")
            told = outages(worker)[before]
            assert refusal.code in told["message"]
            assert told["hint"].startswith(hint), told
            assert worker.process.poll() is None
            assert not change & {line[:2] for line in ground.handled()}
            proxy.clear()
            changes |= change
            ground.wait(changes)
            recovered = sum("it can be reached again" in line for line in list(worker.errors))
            assert recovered >= number
        assert worker.end(TERM)[0] == 0


def test_state_that_refuses_is_an_outage_too(ground: Fleet) -> None:
    """State in DynamoDB, behind a proxy of its own."""
    ground.state = ["--state", "dynamodb:kept", "--state-endpoint", ground.endpoint]
    ground.create_state()
    with Proxy(ground.endpoint) as proxy:
        ground.state[3] = proxy.url
        worker = ground.worker()
        ground.wait(ground.write(2, 0, 1))
        refusal, hint = REFUSALS["expired credentials"]
        proxy.on("*", refusal)
        after = ground.write(2, 1, 2)
        line = json.loads(worker.said("it is tried again"))
        assert "dynamodb:kept" in line["message"]
        assert line["hint"].startswith(hint)
        proxy.clear()
        ground.wait(after)
        worker.said("it can be reached again")
        assert worker.end(TERM)[0] == 0


# ---- credentials that are renewed --------------------------------------------------------------------------


def test_credentials_are_read_again_after_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of the shared file that an operator renews while the worker runs: the key that AWS no longer
    knows is not asked with for ever.
    """
    profile = tmp_path / "credentials"

    def renew(key: str) -> None:
        profile.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = not-to-be-told\n")

    renew("AKIAOLDOLDOLDOLDOLD1")
    with fleet(tmp_path) as ground:
        ground.create_state()
        ground.create_table()
        monkeypatch.setattr("tests.fleet.ENVIRONMENT", {"AWS_DEFAULT_REGION": "us-east-1"})
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
        with Proxy(ground.endpoint) as proxy:
            ground.behind = proxy.url
            worker = ground.worker()
            ground.wait(ground.write(1, 0, 1))
            proxy.on("*", REFUSALS["expired credentials"][0], access_key="AKIAOLDOLDOLDOLDOLD1")
            after = ground.write(1, 1, 2)
            assert LOG_IN in json.loads(worker.said("it is tried again"))["hint"]
            renew("AKIANEWNEWNEWNEWNEW1")
            ground.wait(after)
            worker.said("it can be reached again")
            assert proxy.calls[-1].access_key == "AKIANEWNEWNEWNEWNEW1"
            assert worker.end(TERM)[0] == 0
