"""Calls over real sockets: against a server that says whatever a test wants, and against the engine's own.

Rules of this file: time is the test's own (`now`); nothing waits for a time-out longer than it must;
credentials are those of the environment.
"""

import asyncio
import gc
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime
from email.utils import formatdate
from ipaddress import ip_address
from typing import Any

import pytest

from tailrace.aws import client as clients
from tailrace.aws.client import AwsClient, call, call_here
from tailrace.aws.errors import LOG_IN, SET_THE_CLOCK, AwsError, Meaning
from tailrace.aws.places import KNOWN, Access
from tailrace.aws.signing import Scope, canonical_request, payload_hash_of, signature
from tailrace.runtime.causing import CAUSE
from tests.patience import PATIENCE_S
from tests.serving import serving
from tests.unit.aws.scripted import (
    GET,
    HANGS,
    NOW_S,
    Asked,
    Scripted,
    access,
    answer,
    called,
    refused,
    scripted,
)

pytestmark = pytest.mark.usefixtures("account")

EXPIRED = {
    "__type": "com.amazon.coral.service#InvalidSignatureException",
    "message": "Signature expired: 1 is now earlier than 2",
}
THROTTLED = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "Rate exceeded"}


def test_a_call_is_signed_and_its_answer_read(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    script.said.append(answer(200, {"Item": {"pk": {"S": "a"}}}))
    assert called(script, GET) == [{"Item": {"pk": {"S": "a"}}}]
    (asked,) = script.asked
    assert (asked.method, asked.target) == ("POST", "/")
    assert asked.body == b'{"TableName":"t","Key":{"pk":{"S":"a"}}}'
    assert asked.headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert asked.headers["content-type"] == "application/x-amz-json-1.0"
    assert asked.headers["x-amz-security-token"] == "token"
    assert asked.headers["x-amz-date"] == "20260528T202640Z"
    assert asked.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKID/20260528/us-east-1/dynamodb/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
    )


def test_a_connection_is_used_again(script: Scripted) -> None:
    called(script, GET, GET, GET)
    assert (len(script.asked), script.connections) == (3, 1)


def test_a_throttled_call_is_sent_once_and_says_when_to_come_back(script: Scripted) -> None:
    script.said.append(answer(400, THROTTLED, retry_after="2"))
    error = refused(script)
    assert (error.verdict.meaning, error.retry_after_ms) == (Meaning.THROTTLED, 2_000)
    assert len(script.asked) == 1, "the machine retries, and it alone"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(500, b"", reason="Oops"), "500: Oops"),
        (answer(503, b"<html>", retry_after="3"), "503: <html>"),
        (answer(200, b"garbage"), "none of json"),
        (b"no HTTP at all\r\n\r\n", "no answer of http"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "no answer of http"),
        (b"", "no answer of http"),
        (answer(200, {"a": 1}, x_amz_crc32="1"), "checksum"),
    ],
    ids=["500", "503", "garbage", "no HTTP", "closes in the middle", "closes before", "changed on its way"],
)
def test_what_no_service_should_do_is_an_outage_and_is_asked_once(
    script: Scripted, said: bytes, words: str
) -> None:
    script.said.append(said)
    error = refused(script)
    assert error.verdict.meaning is Meaning.UNAVAILABLE
    assert words in str(error)
    assert "dynamodb.get_item" in str(error)
    assert len(script.asked) == 1


def test_a_conditional_put_is_not_sent_again_when_the_connection_ends(script: Scripted) -> None:
    script.said.extend([answer(200), b""])
    put = ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x", "IfNoneMatch": "*"})
    first, second = called(script, put, put)
    assert first == {}
    assert isinstance(second, AwsError)
    assert second.verdict.meaning is Meaning.UNAVAILABLE
    assert len(script.asked) == 2


def test_an_answer_without_a_length_is_read_to_its_end(script: Scripted) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n"
        + b'{"Item"'
        + b"\r\n4\r\n:{}}\r\n0\r\n\r\n"
    )
    script.said.extend([chunked, b"HTTP/1.1 200 OK\r\n\r\n" + b'{"Item":{}}'])
    assert called(script, GET, GET) == [{"Item": {}}, {"Item": {}}]


@pytest.mark.parametrize("is_told", [True, False], ids=["with its length", "without"])
def test_an_answer_that_is_too_large_is_not_read(script: Scripted, is_told: bool) -> None:
    body = b'{"Item":{"a":{"S":"' + b"x" * 5_000 + b'"}}}'
    script.said.append(answer(200, body) if is_told else b"HTTP/1.1 200 OK\r\n\r\n" + body)
    error = refused(script, most_bytes=1_000)
    assert error.verdict.meaning is Meaning.UNAVAILABLE
    assert "more than 1,000 bytes" in str(error)
    script.said.append(answer(200, body))
    assert len(called(script, GET)[0]["Item"]["a"]["S"]) == 5_000, "the bound is what refuses it"


def test_a_server_that_does_not_answer_is_given_up(script: Scripted) -> None:
    script.said.append(HANGS)

    async def wait() -> None:
        client = AwsClient()
        try:
            await client.call(access(script), *GET, timeout_s=0.2)
        finally:
            await client.close()

    with pytest.raises(AwsError, match="did not answer in time") as late:
        asyncio.run(wait())
    assert late.value.verdict.meaning is Meaning.UNAVAILABLE


def test_nobody_at_the_address_is_an_outage() -> None:
    with scripted() as gone:
        pass
    error = refused(gone)
    assert error.verdict.meaning is Meaning.UNAVAILABLE
    assert gone.url in str(error)


def test_a_call_that_is_cancelled_leaves_the_client_whole(script: Scripted) -> None:
    script.said.append(HANGS)

    async def cancel_one() -> Any:
        client = AwsClient()
        try:
            task = asyncio.create_task(client.call(access(script), *GET))
            while not script.asked:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await client.call(access(script), *GET)
        finally:
            await client.close()

    assert asyncio.run(cancel_one()) == {}
    assert script.connections == 2, "an answer that no call awaits any more must not be another call's"


class Verifier:
    """What a service does with a request: the signature of what arrived, made anew."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def is_signed(self, asked: Asked) -> bool:
        """Whether it is the one that was sent."""
        parts = dict(
            part.split("=", 1) for part in asked.headers["authorization"].partition(" ")[2].split(", ")
        )
        _, day, region, service, _ = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        path, _, query = asked.target.partition("?")
        pairs = [
            (name, value)
            for name, _, value in (parameter.partition("=") for parameter in query.split("&") if parameter)
        ]
        scope, stamp = Scope(region, service), asked.headers["x-amz-date"]
        assert stamp.startswith(day)
        text = canonical_request(
            scope, asked.method, path, pairs, asked.headers, names, payload_hash_of(asked.body)
        )
        return signature(self._secret, scope, stamp, text) == parts["Signature"]


SIGNED: list[tuple[str, str, dict[str, Any]]] = [
    GET,
    ("s3", "put_object",
     {"Bucket": "b", "Key": "ü b//c/../d+e%", "Body": b"x", "ContentType": "a  b",
      "Metadata": {"n": "v  w"}}),
    ("s3", "list_objects_v2", {"Bucket": "b", "Prefix": "a b/+&ü", "StartAfter": "", "MaxKeys": 5}),
    ("s3", "delete_object", {"Bucket": "b", "Key": "k", "VersionId": "x&y=z"}),
    ("lambda", "invoke",
     {"FunctionName": "arn:aws:lambda:eu-west-1:1:function:f", "Qualifier": "a b", "Payload": b"{}"}),
    ("sns", "publish", {"TopicArn": "arn", "Message": "ü & ="}),
    ("events", "put_events", {"Entries": []}),
]  # fmt: skip


@pytest.mark.parametrize("operation", SIGNED, ids=lambda operation: f"{operation[0]}.{operation[1]}")
def test_what_arrives_is_what_was_signed(
    script: Scripted, operation: tuple[str, str, dict[str, Any]]
) -> None:
    called(script, operation)
    (asked,) = script.asked
    assert Verifier("secret").is_signed(asked)
    assert not Verifier("another").is_signed(asked)


def test_a_place_is_looked_up_once_for_all_who_wait_for_it(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    look_up = KNOWN.place

    def noted(service: str, *more: Any) -> Any:
        looked.append(service)
        return look_up(service, *more)

    monkeypatch.setattr(KNOWN, "place", noted)

    async def at_once() -> None:
        await asyncio.gather(*(call(access(script), *GET) for _ in range(20)))

    asyncio.run(at_once())
    assert looked == ["dynamodb"]
    assert len(script.asked) == 20


def test_a_call_that_is_cancelled_while_its_place_is_looked_up_costs_nobody_else_it(
    script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, look_up = threading.Event(), KNOWN.place

    def later(*arguments: Any) -> Any:
        assert may_go.wait(PATIENCE_S)
        return look_up(*arguments)

    monkeypatch.setattr(KNOWN, "place", later)

    async def cancel_one() -> Any:
        gone, stays = (asyncio.create_task(call(access(script), *GET)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        may_go.set()
        return await stays

    assert asyncio.run(cancel_one()) == {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A certificate for loopback, and the file of its signer: itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2999, 1, 1, tzinfo=UTC))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    bundle, private = folder / "bundle.pem", folder / "key.pem"
    bundle.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(bundle, private)
    return secured, str(bundle)


def test_a_server_is_believed_only_with_a_certificate_that_is(
    authority: tuple[ssl.SSLContext, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secured, bundle = authority
    with scripted(secured) as script:
        error = refused(script)
        assert error.verdict.meaning is Meaning.UNAVAILABLE
        assert "certificate" in str(error).lower()
        assert script.asked == []
        monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        KNOWN.forget(None)
        assert called(script, GET, GET) == [{}, {}]


def test_a_process_that_has_waited_for_a_call_ends_without_a_word(script: Scripted) -> None:
    program = (
        "from tailrace.aws.client import call_here\nfrom tailrace.aws.places import Access\n"
        f"call_here(Access('us-east-1', {script.url!r}), 'dynamodb', 'list_tables', {{}})\n"
    )
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (run.returncode, run.stderr) == (0, "")


# ---- clocks ------------------------------------------------------------------------------------------------


def test_a_wrong_clock_is_corrected_by_the_services_date_once(script: Scripted) -> None:
    date = formatdate(NOW_S + 3_600, usegmt=True)
    script.said.extend([answer(400, EXPIRED, date=date), answer(200, {}), answer(200, {})])
    assert called(script, GET, GET) == [{}, {}]
    assert [request.headers["x-amz-date"] for request in script.asked] == [
        "20260528T202640Z",
        "20260528T212640Z",
        "20260528T212640Z",
    ]
    signatures = {request.headers["authorization"] for request in script.asked[:2]}
    assert len(signatures) == 2


def test_a_clock_that_is_refused_again_is_an_outage_with_a_hint(script: Scripted) -> None:
    script.otherwise = answer(400, EXPIRED, date=formatdate(NOW_S + 3_600, usegmt=True))
    error = refused(script)
    assert (error.verdict.meaning, error.hint) == (Meaning.SKEW, SET_THE_CLOCK)
    assert len(script.asked) == 2


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"date": formatdate(NOW_S + 5, usegmt=True)}])
def test_a_time_that_is_refused_without_another_one_is_sent_once(
    script: Scripted, headers: dict[str, str]
) -> None:
    script.otherwise = answer(400, EXPIRED, **headers)
    assert refused(script).verdict.meaning is Meaning.SKEW
    assert len(script.asked) == 1


def test_a_clock_that_runs_away_is_corrected_once_all_the_same(script: Scripted) -> None:
    dates = [formatdate(NOW_S + hours * 3_600, usegmt=True) for hours in (1, 3, 5)]
    script.said.extend(answer(400, EXPIRED, date=date) for date in dates)
    assert refused(script).verdict.meaning is Meaning.SKEW
    assert len(script.asked) == 2


def test_another_refusal_is_not_sent_again_though_the_clocks_differ(script: Scripted) -> None:
    script.otherwise = answer(500, b"", date=formatdate(NOW_S + 3_600, usegmt=True))
    assert refused(script).verdict.meaning is Meaning.UNAVAILABLE
    assert len(script.asked) == 1


# ---- who we are --------------------------------------------------------------------------------------------


def test_a_log_in_is_noticed_without_a_restart(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    expired = {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "expired"}
    script.said.append(answer(400, expired))

    async def twice() -> AwsError:
        client = AwsClient()
        try:
            with pytest.raises(AwsError) as error:
                await client.call(access(script), *GET)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ANOTHER")
            await client.call(access(script), *GET)
            return error.value
        finally:
            await client.close()

    error = asyncio.run(twice())
    assert (error.verdict.meaning, error.hint) == (Meaning.CREDENTIALS, LOG_IN)
    assert ["Credential=ANOTHER/" in request.headers["authorization"] for request in script.asked] == [
        False,
        True,
    ]


def test_a_call_without_credentials_sends_nothing(
    script: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    error = refused(script)
    assert (error.verdict.meaning, error.hint) == (Meaning.CREDENTIALS, LOG_IN)
    assert str(error).startswith("dynamodb.get_item: Unable to locate credentials")
    assert script.asked == []


def test_an_operation_that_a_service_does_not_have_is_refused(script: Scripted) -> None:
    error = refused(script, ("dynamodb", "drop_everything", {}))
    assert error.verdict.meaning is Meaning.REFUSED
    assert "drop_everything" in str(error)


# ---- whose loop, whose thread ------------------------------------------------------------------------------


def test_the_ancestry_of_a_write_goes_with_it(script: Scripted) -> None:
    token = CAUSE.set("receipt:1")
    try:
        asyncio.run(call(access(script), *GET))
        call_here(access(script), *GET)
    finally:
        CAUSE.reset(token)
    asyncio.run(call(access(script), *GET))
    told = [request.headers.get("x-amzn-trace-id", "") for request in script.asked]
    assert ["Tailrace=receipt:1" in trace for trace in told] == [True, True, False]


@pytest.mark.filterwarnings("error")
def test_a_loop_that_ends_takes_its_connections_along(script: Scripted) -> None:
    async def twice() -> None:
        await asyncio.gather(*(call(access(script), *GET) for _ in range(3)))
        assert asyncio.get_running_loop() in clients._OF_LOOPS

    before = len(clients._OF_LOOPS)
    asyncio.run(twice())
    gc.collect()
    assert len(clients._OF_LOOPS) == before


def test_threads_wait_for_calls_on_a_loop_beside_them(script: Scripted) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(call_here(access(script), *GET))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{}] * 8


def test_a_closed_client_says_so(script: Scripted) -> None:
    async def use() -> None:
        client = AwsClient()
        await client.call(access(script), *GET)
        await client.close()
        await client.close()
        await client.call(access(script), *GET)

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(use())


def test_the_engines_own_server_takes_what_is_sent() -> None:
    with serving() as served:
        here = Access("us-east-1", f"http://127.0.0.1:{served.port}")

        async def use() -> Any:
            await call(
                here,
                "dynamodb",
                "create_table",
                {
                    "TableName": "things",
                    "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                },
            )
            item = {"pk": {"S": "ü"}, "b": {"B": b"\x00\xff"}, "n": {"N": "1"}}
            await call(here, "dynamodb", "put_item", {"TableName": "things", "Item": item})
            with pytest.raises(AwsError) as condition:
                await call(
                    here,
                    "dynamodb",
                    "put_item",
                    {"TableName": "things", "Item": item, "ConditionExpression": "attribute_not_exists(pk)"},
                )
            assert condition.value.verdict.meaning is Meaning.CONDITION
            return await call(
                here, "dynamodb", "get_item", {"TableName": "things", "Key": {"pk": {"S": "ü"}}}
            )

        assert asyncio.run(use())["Item"] == {"pk": {"S": "ü"}, "b": {"B": "AP8="}, "n": {"N": "1"}}
