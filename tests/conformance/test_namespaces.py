"""A request's region and account, from the scope and the key of its credential, choose the tables that it
sees."""

import json
import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tailrace.api.dispatch import MOST_ENGINES, Dispatcher
from tailrace.api.wire import namespace_of
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.server.inprocess import InProcess
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import Conformance, client

ACCOUNT = "123456789012"
SCOPE = b"AWS4-HMAC-SHA256 Credential=%b/20261128/%b/dynamodb/aws4_request, SignedHeaders=host, Signature=%b"


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def make(dynamodb: Any, key: str, name: str = "things") -> None:
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )


def ask(dispatcher: Dispatcher, signed: bytes, query: bytes = b"", operation: bytes = b"ListTables") -> Any:
    """The answer to a request that is signed so, by header or by query."""
    headers = {b"x-amz-target": b"DynamoDB_20120810." + operation, b"x-amz-date": b"20261128T000000Z"}
    if signed:
        headers[b"authorization"] = signed
    reply = dispatcher.execute(headers, query, b"{}")
    assert isinstance(reply, tuple)
    return json.loads(reply.body)


def test_clients_of_two_regions_have_a_table_of_one_name_each(api: Conformance) -> None:
    there = client(api.server, "dynamodb", "eu-west-1")
    make(api.dynamodb, "pk")
    make(there, "id")
    api.dynamodb.put_item(TableName="things", Item={"pk": {"S": "a"}})
    there.put_item(TableName="things", Item={"id": {"S": "b"}})
    assert api.dynamodb.scan(TableName="things")["Items"] == [{"pk": {"S": "a"}}]
    assert there.scan(TableName="things")["Items"] == [{"id": {"S": "b"}}]
    assert there.get_item(TableName="things", Key={"id": {"S": "b"}})["Item"] == {"id": {"S": "b"}}
    arn = there.describe_table(TableName="things")["Table"]["TableArn"]
    assert arn == "arn:aws:dynamodb:eu-west-1:000000000000:table/things"
    assert there.describe_table(TableName=arn)["Table"]["TableArn"] == arn
    with pytest.raises(ClientError) as error:
        api.dynamodb.get_item(TableName=arn, Key={"id": {"S": "b"}})
    assert refused(error) == (
        "ValidationException",
        f"Invalid TableArn: Invalid ResourceArn provided as input {arn}",
    )
    there.delete_table(TableName="things")
    assert there.list_tables()["TableNames"] == []
    assert api.dynamodb.list_tables()["TableNames"] == ["things"]


def test_an_access_key_of_twelve_digits_is_an_account(api: Conformance) -> None:
    other = client(api.server, "dynamodb", key=ACCOUNT)
    make(api.dynamodb, "pk")
    assert other.list_tables()["TableNames"] == []
    make(other, "id")
    arn = other.describe_table(TableName="things")["Table"]["TableArn"]
    assert arn == f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/things"
    with pytest.raises(ClientError) as error:
        api.dynamodb.put_item(TableName=arn, Item={"id": {"S": "b"}})
    assert refused(error)[0] == "AccessDeniedException"
    for key in ("AKIAIOSFODNN7EXAMPLE", "12345678901", "1234567890123"):
        assert client(api.server, "dynamodb", key=key).list_tables()["TableNames"] == ["things"]


def test_streams_are_those_of_the_region_and_records_say_which(api: Conformance) -> None:
    there = client(api.server, "dynamodb", "eu-west-1")
    streams = client(api.server, "dynamodbstreams", "eu-west-1")
    make(api.dynamodb, "pk")
    make(there, "id")
    there.put_item(TableName="things", Item={"id": {"S": "b"}})
    (stream,) = streams.list_streams(TableName="things")["Streams"]
    assert stream["StreamArn"].startswith("arn:aws:dynamodb:eu-west-1:000000000000:table/things/stream/")
    (shard,) = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    token = streams.get_shard_iterator(
        StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = streams.get_records(ShardIterator=token)["Records"]
    assert (record["awsRegion"], record["dynamodb"]["Keys"]) == ("eu-west-1", {"id": {"S": "b"}})
    for wrong in (
        lambda: api.streams.describe_stream(StreamArn=stream["StreamArn"]),
        lambda: api.streams.get_records(ShardIterator=token),
    ):
        with pytest.raises(ClientError) as error:
            wrong()
        assert refused(error)[0] == "ResourceNotFoundException"


def test_batches_and_transactions_are_of_one_namespace(api: Conformance) -> None:
    there = client(api.server, "dynamodb", "eu-west-1")
    make(api.dynamodb, "pk")
    make(there, "id")
    arn = there.describe_table(TableName="things")["Table"]["TableArn"]
    there.batch_write_item(RequestItems={arn: [{"PutRequest": {"Item": {"id": {"S": "b"}}}}]})
    there.transact_write_items(TransactItems=[{"Put": {"TableName": arn, "Item": {"id": {"S": "c"}}}}])
    answer = there.batch_get_item(RequestItems={arn: {"Keys": [{"id": {"S": "c"}}]}})
    assert answer["Responses"] == {arn: [{"id": {"S": "c"}}]}
    for write in (
        lambda: api.dynamodb.batch_write_item(
            RequestItems={arn: [{"PutRequest": {"Item": {"id": {"S": "d"}}}}]}
        ),
        lambda: api.dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": arn, "Item": {"id": {"S": "d"}}}}]
        ),
    ):
        with pytest.raises(ClientError) as error:
            write()
        assert refused(error)[0] == "ValidationException"
    assert len(there.scan(TableName="things")["Items"]) == 2


def test_one_token_in_two_regions_is_two_requests(api: Conformance) -> None:
    there = client(api.server, "dynamodb", "eu-west-1")
    for dynamodb, key in ((api.dynamodb, "pk"), (there, "id")):
        make(dynamodb, key)
        dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": "things", "Item": {key: {"S": "a"}}}}],
            ClientRequestToken="t",
        )
        assert len(dynamodb.scan(TableName="things")["Items"]) == 1


@pytest.mark.parametrize(
    ("signed", "namespace"),
    [
        (SCOPE % (b"any", b"eu-west-1", b"00"), ("eu-west-1", "")),
        (SCOPE % (ACCOUNT.encode(), b"eu-west-1", b"00"), ("eu-west-1", ACCOUNT)),
        (SCOPE % (b"a/b", b"eu-west-1", b"00"), ("eu-west-1", "")),
        (b"AWS4-HMAC-SHA256 Signature=0, Credential=1/2/local/4/aws4_request, SignedHeaders=a",
         ("local", "")),
        (b"X-Amz-Date=1&X-Amz-Credential=123456789012%2F2%2Feu-west-1%2Fdynamodb%2Faws4_request&a=b/c",
         ("eu-west-1", ACCOUNT)),
        (b"AWS4-HMAC-SHA256 Credential=any/thing, SignedHeaders=host, Signature=0", ("", "")),
        (b"AWS4-HMAC-SHA256 Credential=any/1/EU WEST/dynamodb/aws4_request, Signature=0", ("", "")),
        (b"", ("", "")),
    ],
)  # fmt: skip
def test_the_scope_of_a_credential_says_region_and_account(signed: bytes, namespace: tuple[str, str]) -> None:
    assert namespace_of(signed) == namespace


def test_clients_in_turns_and_signed_urls_are_told_apart(api: Conformance) -> None:
    make(client(api.server, "dynamodb", "eu-west-1"), "id")
    dispatcher = Dispatcher(api.engine)
    there, here = SCOPE % (b"any", b"eu-west-1", b"1"), SCOPE % (b"any", b"us-east-1", b"2")
    query = (
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=any%2F1%2Feu-west-1%2Fdynamodb%2Faws4_request"
        b"&X-Amz-Signature=1&X-Amz-SignedHeaders=host&X-Amz-Date=1"
    )
    for _ in range(2):
        assert ask(dispatcher, there)["TableNames"] == ["things"]
        assert ask(dispatcher, here)["TableNames"] == []
        assert ask(dispatcher, b"", query)["TableNames"] == ["things"]
        assert ask(dispatcher, b"", query.replace(b"eu-west-1", b"us-east-1"))["TableNames"] == []
    for number in range(MOST_ENGINES + 5):
        assert ask(dispatcher, SCOPE % (b"key%d" % number, b"eu-west-1", b"1"))["TableNames"] == ["things"]
    assert len(dispatcher._engines) <= MOST_ENGINES


def test_with_one_namespace_all_clients_see_the_same_tables(clock: ManualClock) -> None:
    engine = Engine(MemoryStore(), clock, EngineSettings(one_namespace=True))
    server = InProcess(engine)
    make(client(server, "dynamodb", "eu-west-1"), "id")
    for region, key in (("us-east-1", "any"), ("ap-south-1", ACCOUNT)):
        dynamodb = client(server, "dynamodb", region, key)
        described = dynamodb.describe_table(TableName="things")["Table"]
        assert described["TableArn"] == "arn:aws:dynamodb:us-east-1:000000000000:table/things"


def test_where_the_table_is_that_is_not_found_is_logged_once(
    api: Conformance, caplog: pytest.LogCaptureFixture
) -> None:
    make(client(api.server, "dynamodb", "eu-west-1"), "id")
    with caplog.at_level(logging.WARNING, logger="tailrace.server"):
        for _ in range(3):
            with pytest.raises(ClientError) as error:
                api.dynamodb.get_item(TableName="things", Key={"id": {"S": "b"}})
            assert refused(error) == ("ResourceNotFoundException", "Requested resource not found")
        with pytest.raises(ClientError):
            api.dynamodb.get_item(TableName="nowhere", Key={"id": {"S": "b"}})
    assert [record.getMessage() for record in caplog.records] == [
        "GetItem answered ResourceNotFoundException: there is no table things in region us-east-1, account "
        "000000000000; there is arn:aws:dynamodb:eu-west-1:000000000000:table/things"
    ]
