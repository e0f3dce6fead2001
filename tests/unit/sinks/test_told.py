"""What sinks send that are told of alerts, to a real receiver on loopback."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import Throttled, Unavailable
from tailrace.sinks.webhook import Webhook
from tests.receiving import Receiver, receiving

BODY = b'{"text":"shop: mail is late"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def tell(hook: Webhook) -> None:
    async def telling() -> None:
        await hook.open(ManualClock())
        await hook.tell("shop/mail/late/1/began/1", "shop: mail is late", BODY)

    asyncio.run(telling())


def test_a_webhook_is_told_with_an_id_a_time_and_a_signature(receiver: Receiver) -> None:
    tell(Webhook(receiver.url, secret="s3cret", headers={"x-team": "ops"}))
    ((headers, body),) = receiver.posted
    assert body == BODY
    assert headers["webhook-id"] == headers["idempotency-key"] == "shop/mail/late/1/began/1"
    seconds = str(ManualClock().now().wall_ms // 1_000)
    signed = f"shop/mail/late/1/began/1.{seconds}.".encode() + BODY
    digest = b64encode(hmac.new(b"s3cret", signed, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert headers["x-team"] == "ops"


def test_one_that_wants_fewer_calls_says_for_how_long(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "7"}
    with pytest.raises(Throttled) as raised:
        tell(Webhook(receiver.url))
    assert raised.value.retry_after_ms == 7_000


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 503])
def test_every_other_answer_is_an_outage(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(Unavailable, match=str(status)):
        tell(Webhook(receiver.url))


def test_an_address_without_a_receiver_is_an_outage(receiver: Receiver) -> None:
    url = receiver.url
    receiver.server_close()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        tell(Webhook(url))
