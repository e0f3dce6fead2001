"""How to ask for something of exactly so much: the requests behind the rows of test_limits.py.

Rules of this file: a function makes a request of a size, or asks for one and says what comes of it: nothing
where it is accepted, else the text of the refusal.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tailrace.clocks.manual import ManualClock
from tailrace.engine import indexing
from tailrace.tables import limits
from tests.conformance.client import SIGNED, Conformance, key

Request = dict[str, Any]
Asked = Callable[[Conformance, int], str]
"""What comes of a request of this size: nothing where it is accepted, else the text of the refusal."""
E = "1 validation error detected: "
TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels "
    "beyond supported limit"
)
INVALID = "One or more parameter values were invalid: "
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
    "contain an empty {} value. Key: {}"
)
ONE = "1 validation error detected: Value {} at '{}' failed to satisfy constraint: {}"
LESS = "Member must have length less than or equal to {}"
MORE = "Member must have length greater than or equal to {}"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
MEGABYTE = 1_048_576


@dataclass(frozen=True)
class Limit:
    """One bound of the list. Shape: `part` says which when an entry has several; `last` is
    accepted, `past` is not.
    """

    entry: str
    part: str
    last: int
    past: int
    ask: Asked
    text: str


def told(answer: tuple[int, dict[str, Any]]) -> str:
    """The text of a refusal; values are left out of it, for they may be long."""
    status, body = answer
    if status == 200:
        return ""
    message = str(body.get("message", body.get("Message")))
    return re.sub(r"Value '.*?' at '", "Value … at '", message, flags=re.DOTALL)


def asking(operation: str, build: Callable[[int], Request]) -> Asked:
    """Ask for what `build` makes of the number."""
    return lambda api, number: told(api.raw(operation, build(number)))


def constraint(path: str, text: str, value: str = "…") -> str:
    return ONE.format(value, path, text)


def put(**attributes: Any) -> Request:
    return {"TableName": "things", "Item": {**key("p"), **attributes}}


def update(text: str, **values: Any) -> Request:
    given = {f":{name}": value for name, value in values.items()}
    return {
        "TableName": "things",
        "Key": key("p"),
        "UpdateExpression": text,
        **({"ExpressionAttributeValues": given} if given else {}),
    }


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "deep"}
    for level in range(levels - 1):
        value = {"L": [value]} if level % 2 else {"M": {"a": value}}
    return value


def grown(levels: int) -> Callable[[Conformance], str]:
    def ask(api: Conformance) -> str:
        api.put("p", a=nested(31))
        path = "a" + "".join("[0]" if level % 2 else ".a" for level in range(29, -1, -1))
        return told(api.raw("UpdateItem", update(f"SET {path} = :v", v=nested(levels - 30))))

    return ask


def with_local_index(api: Conformance, size: int) -> str:
    """An item of half the limit in a table whose local index projects everything weighs twice."""
    types = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "alt")]
    schema = [[("pk", "HASH"), (sort, "RANGE")] for sort in ("sk", "alt")]
    keys = [[{"AttributeName": name, "KeyType": kind} for name, kind in one] for one in schema]
    local = [{"IndexName": "byAlt", "KeySchema": keys[1], "Projection": {"ProjectionType": "ALL"}}]
    if "indexed" not in api.dynamodb.list_tables()["TableNames"]:
        api.dynamodb.create_table(
            TableName="indexed",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=types,
            KeySchema=keys[0],
            LocalSecondaryIndexes=local,
        )
    item = {**key("p"), "alt": {"S": "a"}, "big": {"S": "x" * (size - 13)}}
    return told(api.raw("PutItem", {"TableName": "indexed", "Item": item}))


def number(text: str) -> Asked:
    """`text` has a place for the number."""
    return asking("PutItem", lambda size: put(n={"N": text.format(size)}))


def digits(sign: str) -> Asked:
    return asking("PutItem", lambda size: put(n={"N": f"{sign}1.{'1' * (size - 1)}"}))


def total(api: Conformance, size: int) -> str:
    """A sum that has as many digits."""
    api.put("p", n={"N": "1" + "0" * (size - 1)})
    return told(api.raw("UpdateItem", update("SET n = n + :one", one={"N": "1"})))


def element(kind: str) -> Asked:
    content = "AA==" if kind == "BS" else "1"
    return asking("PutItem", lambda size: put(a={kind: [content] * size}))


def typed(kind: str, sort: bool) -> Asked:
    """A key of as many bytes, in a table of its own."""

    def ask(api: Conformance, size: int) -> str:
        types = {"hash": "S" if sort else kind, "range": kind if sort else "S"}
        if "typed" not in api.dynamodb.list_tables()["TableNames"]:
            api.dynamodb.create_table(
                TableName="typed",
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[
                    {"AttributeName": name, "AttributeType": one} for name, one in types.items()
                ],
                KeySchema=[
                    {"AttributeName": "hash", "KeyType": "HASH"},
                    {"AttributeName": "range", "KeyType": "RANGE"},
                ],
            )
        content: Any = b"x" * size if kind == "B" else "é" * (size // 2) + "x" * (size % 2)
        item = {"hash": {"S": "a"}, "range": {"S": "a"}, "range" if sort else "hash": {kind: content}}
        try:
            api.dynamodb.put_item(TableName="typed", Item=item)
        except ClientError as error:
            put_text = str(error.response["Error"]["Message"])
            assert api.invalid("GetItem", TableName="typed", Key=item) == put_text
            assert api.invalid("DeleteItem", TableName="typed", Key=item) == put_text
            return put_text
        return ""

    return ask


HASH_SIZE = f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"
RANGE_SIZE = f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
TEXTS: dict[str, tuple[str, str, Request]] = {
    "UpdateExpression": ("UpdateItem", "REMOVE absent", {"Key": key("p")}),
    "ConditionExpression": ("DeleteItem", "attribute_not_exists(absent)", {"Key": key("p")}),
    "ProjectionExpression": ("GetItem", "absent", {"Key": key("p")}),
    "FilterExpression": ("Scan", "attribute_not_exists(absent)", {}),
    "KeyConditionExpression": ("Query", "pk = :p", {"ExpressionAttributeValues": {":p": {"S": "p"}}}),
}


def padded(member: str) -> Asked:
    operation, text, more = TEXTS[member]
    return asking(operation, lambda size: {"TableName": "things", member: text.ljust(size), **more})


def condition(text: str, values: Request) -> Request:
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"TableName": "things", "Key": key("p"), "ConditionExpression": text, **given}


def operators(count: int) -> Request:
    """n comparisons and what joins them, and NOT for an even number."""
    tests = " OR ".join(["a <> :n"] * ((count + 1) // 2))
    return condition(tests if count % 2 else f"NOT {tests}", {":n": {"N": "1"}})


def additions(count: int) -> Request:
    """As many sums in an update; names of two letters, to have 300 of them within 4 KB."""
    names = [one + other for one in "abcdefghiklmnoprstuvwxyz" for other in "0123456789_zqjw"][:count]
    return update("SET " + ",".join(f"{name}=:n+:n" for name in names), n={"N": "1"})


def options(count: int) -> Request:
    names = [f":v{index}" for index in range(count)]
    return condition(f"NOT a IN ({', '.join(names)})", {name: {"S": name} for name in names})


def placeholder(sign: str) -> Asked:
    def build(size: int) -> Request:
        name = sign + "x" * (size - 1)
        if sign == "#":
            return {
                **condition(f"attribute_not_exists({name})", {}),
                "ExpressionAttributeNames": {name: "absent"},
            }
        return condition(f"a <> {name}", {name: {"S": ""}})

    return asking("DeleteItem", build)


def placeholders(size: int) -> Request:
    """Names and values of so many bytes together."""
    values = {f":{letter}": {"S": "x" * 300_000} for letter in "abcdef"}
    values[":g"] = {"S": "x" * (size - 6 * 300_002 - 2 - 3)}
    text = " AND ".join(f"#n <> {name}" for name in values)
    return {**condition(text, values), "ExpressionAttributeNames": {"#n": "n"}}


def path(parts: int) -> Request:
    return {
        "TableName": "things",
        "Key": key("p"),
        "ProjectionExpression": ".".join("abcdefgh"[index % 8] * (1 + index // 8) for index in range(parts)),
    }


INVALID_CONDITION = "Invalid ConditionExpression: "


def keys(count: int) -> list[Request]:
    return [key(f"k{index}") for index in range(count)]


def writes(count: int) -> list[Request]:
    return [{"PutRequest": {"Item": one}} for one in keys(count)]


def two_tables(operation: str, build: Callable[[int], Any]) -> Asked:
    """The requests of a batch, over two tables."""

    def ask(api: Conformance, count: int) -> str:
        if "others" not in api.dynamodb.list_tables()["TableNames"]:
            api.table("others")
        half = count // 2
        return told(
            api.raw(operation, {"RequestItems": {"things": build(half), "others": build(count - half)}})
        )

    return ask


def transact(actions: list[Request]) -> Request:
    return {"TransactItems": actions}


def heavy_items(size: int) -> list[Request]:
    """Items of so many bytes together, each below its own limit."""
    share, rest = divmod(size, 12)
    return [
        {**key(f"h{index:02}"), "big": {"S": "x" * (share + (rest if index == 0 else 0) - 11)}}
        for index in range(12)
    ]


def heavy_write(api: Conformance, size: int) -> str:
    puts = [{"Put": {"TableName": "things", "Item": item}} for item in heavy_items(size)]
    return told(api.raw("TransactWriteItems", transact(puts)))


def heavy_read(api: Conformance, size: int) -> str:
    gets = []
    for item in heavy_items(size):
        api.dynamodb.put_item(TableName="things", Item=item)
        gets.append({"Get": {"TableName": "things", "Key": {name: item[name] for name in ("pk", "sk")}}})
    return told(api.raw("TransactGetItems", transact(gets)))


def page(operation: str) -> Asked:
    """Four items, of which three have so many bytes: whether the page goes on to the fourth."""

    def ask(api: Conformance, size: int) -> str:
        for index, part in enumerate((size // 3, size // 3, size - 2 * (size // 3), 100)):
            api.put("p", f"{index}", big={"S": "x" * (part - 9)})
        more = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "p"}}}
        _, answer = api.raw(operation, {"TableName": "things", **(more if operation == "Query" else {})})
        return (
            ""
            if answer["Count"] == 4
            else f"{answer['Count']} items, then {answer['LastEvaluatedKey']['sk']['S']}"
        )

    return ask


def body(api: Conformance, size: int) -> str:
    """A request of so many bytes."""
    headers = {
        **SIGNED,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
    }
    answer = api.server.call(headers, b"{}".ljust(size))
    return "" if answer.status == 200 else f"{answer.status} {json.loads(answer.body)['message']}"


def token(count: int) -> Request:
    return {
        "ClientRequestToken": "t" * count,
        **transact([{"Put": {"TableName": "things", "Item": key("t")}}]),
    }


def tagged(part: str) -> Asked:
    """So many tags, or a tag whose key or value has so many characters."""

    def ask(api: Conformance, count: int) -> str:
        arn = api.dynamodb.describe_table(TableName="things")["Table"]["TableArn"]
        tags = [{"Key": f"k{index}", "Value": ""} for index in range(count)]
        if part != "tags":
            tags = [{"Key": "k", "Value": "v", part: "x" * count}]
        try:
            api.dynamodb.tag_resource(ResourceArn=arn, Tags=tags)
        except ClientError as error:
            return told((400, {"message": error.response["Error"]["Message"]}))
        return ""

    return ask


def valid_for(api: Conformance, milliseconds: int) -> str:
    """Another request under the same token, so long after the first one."""
    under = {"ClientRequestToken": str(milliseconds)}
    assert told(api.raw("TransactWriteItems", {**token(1), **under})) == ""
    assert isinstance(api.engine.clock, ManualClock)
    api.engine.clock.advance(milliseconds)
    other = transact([{"Delete": {"TableName": "things", "Key": key("t")}}])
    return told(api.raw("TransactWriteItems", {**other, **under}))


def batch_read(api: Conformance, size: int, tables: int = 17) -> str:
    """Three items in each of so many tables, so many bytes together: how many keys are left unprocessed."""
    names = [f"batched-{number:02}" for number in range(tables)]
    places = [(name, f"{place}") for name in names for place in range(3)]
    share, rest = divmod(size, len(places))
    for name in names:
        if name not in api.dynamodb.list_tables()["TableNames"]:
            api.table(name)
    for index, (name, place) in enumerate(places):
        api.put("b", place, table=name, big={"S": "x" * (share + (rest if index == 0 else 0) - 9)})
    asked = {name: {"Keys": [key("b", f"{place}") for place in range(3)]} for name in names}
    _, answer = api.raw("BatchGetItem", {"RequestItems": asked})
    left = [one for told in answer["UnprocessedKeys"].values() for one in told["Keys"]]
    assert sum(map(len, answer["Responses"].values())) + len(left) == len(places)
    return f"{len(left)} key is left" if left else ""


def collection(api: Conformance, size: int) -> str:
    """Two items of one partition weigh so much in a table with a local index; its limit is set
    to 400 bytes here.
    """
    assert with_local_index(api, 100) == ""
    assert limits.COLLECTION_BYTES == 10 * 1024**3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "COLLECTION_BYTES", 400)
        item = {**key("p", "b"), "big": {"S": "x" * (size - 200 - 9)}}
        return told(api.raw("PutItem", {"TableName": "indexed", "Item": item}))


TOO_MANY = "Too many items requested for the Batch{}Item call"
AGGREGATE = "Collection of items in the transaction exceeds the aggregated size limit of 4 MB"
REUSED = (
    "The request uses the same client token as a previous, but non-identical request. Do not reuse a "
    "client token with different requests, unless the requests are identical"
)


def attribute(name: str) -> Request:
    return {"AttributeName": name, "AttributeType": "S"}


def schema(*names: str) -> list[Request]:
    return [
        {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
    ]


def table(name: str = "made", hash_name: str = "h", sorts: tuple[str, ...] = ("r",), **more: Any) -> Request:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": schema(hash_name, "r"),
        "AttributeDefinitions": [attribute(one) for one in (hash_name, *sorts)],
        **more,
    }


def index(name: str, *names: str, projected: list[str] | None = None) -> Request:
    projection: Request = {"ProjectionType": "KEYS_ONLY"}
    if projected is not None:
        projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": projected}
    return {"IndexName": name, "KeySchema": schema(*names), "Projection": projection}


def global_indexes(count: int) -> Request:
    return table(GlobalSecondaryIndexes=[index(f"global{number}", "r") for number in range(count)])


def local_indexes(count: int) -> Request:
    names = tuple(f"l{number}" for number in range(count))
    return table(
        sorts=("r", *names), LocalSecondaryIndexes=[index(f"local{name}", "h", name) for name in names]
    )


def projected(sizes: list[int]) -> Request:
    """Global indexes that project so many attributes each."""
    made = [
        index(f"global{number}", "r", projected=[f"p{number}_{place}" for place in range(size)])
        for number, size in enumerate(sizes)
    ]
    return table(GlobalSecondaryIndexes=made)


CREATE = "CreateTable"
