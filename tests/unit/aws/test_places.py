"""Endpoints and credentials, as botocore finds them: profiles, containers, web identity; renewed in time,
once at a time.

Rules of this file: metadata services are a server of the test; time is what the test says.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials as Theirs
from botocore.credentials import RefreshableCredentials

from tailrace.aws.client import call
from tailrace.aws.errors import LOG_IN, AwsError, Meaning, verdict_here
from tailrace.aws.places import CHECK_S, KNOWN, Access, Keyring
from tailrace.aws.signing import Credentials
from tests.patience import PATIENCE_S
from tests.unit.aws.scripted import Scripted, answer, scripted

LATER = "2999-01-01T00:00:00Z"
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
SOON = MOMENT + timedelta(minutes=5)
GET = ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}})


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for profile in (None, "shop"):
        KNOWN.forget(profile)
    yield
    for profile in (None, "shop"):
        KNOWN.forget(profile)


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as said:
        yield said


def key_of(asked: Any) -> str:
    return str(asked.headers["authorization"].partition("Credential=")[2].partition("/")[0])


# ---- where -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "url", "region", "name"),
    [
        ("dynamodb", "https://dynamodb.eu-west-1.amazonaws.com", "eu-west-1", "dynamodb"),
        ("dynamodbstreams", "https://streams.dynamodb.eu-west-1.amazonaws.com", "eu-west-1", "dynamodb"),
        ("sqs", "https://sqs.eu-west-1.amazonaws.com", "eu-west-1", "sqs"),
        ("events", "https://events.eu-west-1.amazonaws.com", "eu-west-1", "events"),
        ("lambda", "https://lambda.eu-west-1.amazonaws.com", "eu-west-1", "lambda"),
        ("sts", "https://sts.eu-west-1.amazonaws.com", "eu-west-1", "sts"),
    ],
)  # fmt: skip
def test_a_service_is_where_botocore_says(service: str, url: str, region: str, name: str) -> None:
    place = KNOWN.place(service, Access(region))
    assert (place.url, place.scope.region, place.scope.service) == (url, region, name)
    assert place.trust is not None
    assert KNOWN.place("dynamodb", Access("cn-north-1")).url == "https://dynamodb.cn-north-1.amazonaws.com.cn"


def test_a_profile_says_where_and_as_whom(script: Scripted, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[profile shop]\nregion = eu-central-1\nendpoint_url = {script.url}\n")
    (tmp_path / "credentials").write_text("[shop]\naws_access_key_id = SHOP\naws_secret_access_key = s\n")
    assert asyncio.run(call(Access(profile="shop"), *GET)) == {}
    assert "SHOP/" in script.asked[0].headers["authorization"]
    assert "/eu-central-1/dynamodb/" in script.asked[0].headers["authorization"]


def test_an_endpoint_of_the_environment_is_used(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"{script.url}/under/this")
    place = KNOWN.place("sqs", Access("eu-west-1"))
    assert (place.url, place.prefix, place.trust) == (script.url, "/under/this", None)


def test_a_profile_that_is_not_there_and_no_region_are_outages_that_say_what_to_do() -> None:
    with pytest.raises(AwsError, match="shop") as nobody:
        KNOWN.place("sqs", Access(profile="shop"))
    assert (nobody.value.verdict.meaning, nobody.value.hint) == (Meaning.CREDENTIALS, LOG_IN)
    with pytest.raises(AwsError, match="AWS_REGION") as nowhere:
        KNOWN.place("sqs", Access())
    assert nowhere.value.verdict.meaning is Meaning.NOWHERE


def test_a_region_that_only_other_sdks_read_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert KNOWN.place("sqs", Access()).scope.region == "eu-west-2"
    KNOWN.forget(None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert KNOWN.place("sqs", Access()).scope.region == "eu-west-3"


def test_a_proxy_of_the_environment_is_asked(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", script.url)
    monkeypatch.setenv("http_proxy", script.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    assert asyncio.run(call(Access("us-east-1", "http://dynamodb.invalid"), *GET)) == {}
    assert script.asked[0].target == "http://dynamodb.invalid/"
    assert script.asked[0].headers["host"] == "dynamodb.invalid"


# ---- as whom -----------------------------------------------------------------------------------------------


def told(name: str) -> bytes:
    return answer(
        200, {"AccessKeyId": name, "SecretAccessKey": "s", "Token": f"of {name}", "Expiration": LATER}
    )


def test_a_container_says_who_we_are(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted() as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/who")
        container.otherwise = told("TASK")
        asyncio.run(call(Access("us-east-1", script.url), *GET))
    assert key_of(script.asked[0]) == "TASK"
    assert script.asked[0].headers["x-amz-security-token"] == "of TASK"


def test_a_web_identity_is_exchanged_for_a_role(
    script: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("a token")
    role = (
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>of "
        f"ROLE</SessionToken><Expiration>{LATER}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    with scripted() as sts:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        sts.otherwise = answer(200, role.encode(), content_type="text/xml")
        asyncio.run(call(Access("us-east-1", script.url), *GET))
        KNOWN.forget(None)
        denied = (
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not "
            b"you</Message></Error></ErrorResponse>"
        )
        sts.otherwise = answer(403, denied, content_type="text/xml")
        with pytest.raises(AwsError, match="AccessDenied: not you") as error:
            asyncio.run(call(Access("us-east-1", script.url), *GET))
    assert key_of(script.asked[0]) == "ROLE"
    assert error.value.verdict.meaning is Meaning.DENIED
    assert len(script.asked) == 1


class Clock:
    """The monotonic time of a test."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def renewing(refresh: Callable[[], dict[str, str]]) -> Any:
    """Credentials that have to be renewed whenever they are asked."""
    return RefreshableCredentials("OLD", "s", "t", SOON, refresh, "test", time_fetcher=lambda: MOMENT)


def renewed(name: str) -> dict[str, str]:
    return {"access_key": name, "secret_key": "s", "token": "t", "expiry_time": SOON.isoformat()}


async def now(keyring: Keyring) -> Credentials:
    credentials = keyring.get()
    return credentials if isinstance(credentials, Credentials) else await credentials


def test_credentials_that_run_out_are_renewed_in_a_thread_while_calls_go_on_with_the_old_ones() -> None:
    clock, names, threads, may_go = Clock(), iter("ABC"), [], threading.Event()
    may_go.set()

    def refresh() -> dict[str, str]:
        assert may_go.wait(PATIENCE_S)
        threads.append(threading.get_ident())
        return renewed(next(names))

    async def use() -> None:
        keyring = Keyring(lambda: renewing(refresh), clock)
        firsts = await asyncio.gather(*(now(keyring) for _ in range(5)))
        assert {credentials.access_key for credentials in firsts} == {"A"}, "one look for all"
        assert keyring.get() == firsts[0]
        clock.now_s += CHECK_S
        may_go.clear()
        for _ in range(5):
            assert keyring.get() == firsts[0], "no call waits for a renewal"
        may_go.set()
        while keyring.get() == firsts[0]:
            await asyncio.sleep(0.001)
        assert (await now(keyring)).access_key == "B"

    asyncio.run(use())
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_a_renewal_that_fails_leaves_what_there_is_and_is_tried_again() -> None:
    clock, refused = Clock(), [False]
    names = iter("ABC")

    def refresh() -> dict[str, str]:
        if refused[0]:
            raise AwsError("sts", verdict_here("SSOError"), "", "log in")
        return renewed(next(names))

    async def use() -> None:
        keyring = Keyring(lambda: renewing(refresh), clock)
        first = await now(keyring)
        refused[0] = True
        clock.now_s += CHECK_S
        assert keyring.get() == first
        while keyring._looking is not None:
            await asyncio.sleep(0.001)
        assert keyring.get() == first
        assert keyring._looking is None, "not before a while"
        refused[0] = False
        clock.now_s += CHECK_S
        while keyring.get() == first:
            await asyncio.sleep(0.001)
        assert (await now(keyring)).access_key == "B"

    asyncio.run(use())


def test_credentials_that_do_not_run_out_are_asked_once() -> None:
    loaded: list[int] = []
    clock = Clock()

    def load() -> Theirs:
        loaded.append(1)
        return Theirs("A", "s")

    async def use() -> None:
        keyring = Keyring(load, clock)
        first = await now(keyring)
        clock.now_s += 1_000_000
        assert keyring.get() == first == Credentials("A", "s")
        assert keyring._looking is None

    asyncio.run(use())
    assert loaded == [1]


def test_whoever_waits_for_credentials_is_told_why_there_are_none() -> None:
    def load() -> Any:
        raise AwsError("", verdict_here("NoCredentialsError"), "", "Unable to locate credentials")

    async def use() -> None:
        keyring = Keyring(load, Clock())
        errors = await asyncio.gather(*(now(keyring) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in errors] == [AwsError] * 3

    asyncio.run(use())


def test_a_call_that_is_cancelled_while_it_waits_for_credentials_costs_nobody_else_them() -> None:
    may_go = threading.Event()

    def load() -> Theirs:
        assert may_go.wait(PATIENCE_S)
        return Theirs("A", "s")

    async def use() -> None:
        keyring = Keyring(load, Clock())
        gone, stays = asyncio.create_task(now(keyring)), asyncio.create_task(now(keyring))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        may_go.set()
        assert (await stays).access_key == "A"

    asyncio.run(use())
