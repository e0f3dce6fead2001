"""Requests that AWS's own model allows: members made from botocore's shapes, with names that the world knows.

Rules of this file: pure but for reading botocore's models; the same random numbers make the same request.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session

from tailrace.api.registry import LAMBDA, find_operations
from tests.fuzz import data_streams
from tests.fuzz.words import ARNS, INDEXES, NAMES, TABLES, expression, placeholders

DEEPEST = 5
TARGETS = {
    "dynamodb": "DynamoDB_20120810",
    "dynamodbstreams": "DynamoDBStreams_20120810",
    "kinesis": "Kinesis_20131202",
}


@cache
def service_model(service: str) -> Any:
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


@cache
def operations(service: str) -> tuple[str, ...]:
    """Every operation that Tailrace knows of a service, those that it does not emulate more seldom."""
    modelled = service_model(service).operation_names
    if service == "lambda":
        known = {one.name for one in find_operations((LAMBDA,)).values() if one.emulated}
        return (*tuple(name for name in modelled if name in known), "ListLayers", "PublishVersion")
    table = find_operations()
    known = [name for name in modelled if f"{TARGETS[service]}.{name}".encode() in table]
    there = [name for name in known if table[f"{TARGETS[service]}.{name}".encode()].emulated]
    return (*there * 6, *(name for name in known if name not in there))


def members_of(service: str, operation: str, random: Random) -> dict[str, Any]:
    """What a client could send: every required member, and some of the others."""
    shape = service_model(service).operation_model(operation).input_shape
    made = {} if shape is None else _structure(shape, random, 0)
    return completed(made, random)


def completed(members: Any, random: Random) -> Any:
    """The same with what its expressions name behind placeholders, and nothing else,
    wherever there are expressions.
    """
    if isinstance(members, dict):
        texts = [str(value) for name, value in members.items() if name.endswith("Expression")]
        members = {name: completed(value, random) for name, value in members.items()}
        if texts:
            names, values = placeholders(texts, random)
            for member, told in (("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)):
                members.pop(member, None)
                if told:
                    members[member] = told
        return members
    return [completed(one, random) for one in members] if isinstance(members, list) else members


def attribute(random: Random, depth: int = 0) -> dict[str, Any]:
    """An attribute value."""
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"S": random.choice(("a", "b", "", "é", "x" * 40))},
        lambda: {"N": random.choice(("0", "1", "-1.5", "1E+2", "123456789012345678901234567890"))},
        lambda: {"B": random.choice(("", "AA==", "AQID"))},
        lambda: {"BOOL": random.random() < 0.5},
        lambda: {"NULL": True},
        lambda: {"SS": ["a", "b"]},
        lambda: {"NS": ["1", "2"]},
        lambda: {"BS": ["AA=="]},
    ]
    if depth < DEEPEST:
        kinds.append(lambda: {"L": [attribute(random, depth + 1) for _ in range(random.randrange(3))]})
        kinds.append(lambda: {"M": {name: attribute(random, depth + 1) for name in random.sample(NAMES, 2)}})
    return random.choice(kinds)()


def _structure(shape: Any, random: Random, depth: int) -> Any:
    if shape.name == "AttributeValue":
        return attribute(random)
    optional = 0.35 if depth < DEEPEST else 0.0
    one_of = not shape.required_members and depth > 0
    chosen = [
        name
        for name in shape.members
        if name in shape.required_members or random.random() < (optional / 2 if one_of else optional)
    ]
    if one_of and not chosen and shape.members:
        chosen = [random.choice(list(shape.members))]
    return {name: _member(shape.members[name], name, random, depth + 1) for name in chosen}


def _member(shape: Any, name: str, random: Random, depth: int) -> Any:
    match shape.type_name:
        case "structure":
            return _structure(shape, random, depth)
        case "list":
            lowest = shape.metadata.get("min", 0)
            count = max(lowest, random.choice((1, 1, 1, 2, 3)) if depth < DEEPEST + 3 else lowest)
            return [_member(shape.member, name, random, depth + 1) for _ in range(min(count, 4))]
        case "map":
            return _map(shape, name, random, depth)
        case "string":
            return _text(shape, name, random)
        case "integer" | "long":
            lowest, highest = shape.metadata.get("min", 0), shape.metadata.get("max", 100)
            return random.choice(
                (lowest, highest, random.randint(lowest, max(lowest, min(highest, lowest + 50))))
            )
        case "boolean":
            return random.random() < 0.5
        case "timestamp" | "double" | "float":
            return random.choice((0, 1_780_000_000, 1_780_000_000.5))
        case "blob":
            return random.choice(("", "AA==", "AQIDBA=="))
        case _:
            return {}


def _map(shape: Any, name: str, random: Random, depth: int) -> dict[str, Any]:
    if name in ("Key", "Keys", "ExclusiveStartKey"):
        return random.choice(
            ({"pk": {"S": "a"}, "sk": {"S": "a"}}, {"pk": {"S": "a"}}, {"n": {"N": "1"}, "b": {"B": "AA=="}})
        )
    if name == "Item":
        return {"pk": {"S": random.choice("abc")}, "sk": {"S": random.choice("ab")}, "x": attribute(random)}
    keys = TABLES if name == "RequestItems" else NAMES
    return {
        random.choice(keys): _member(shape.value, name, random, depth + 1)
        for _ in range(random.randrange(1, 3))
    }


def _text(shape: Any, name: str, random: Random) -> str:
    enum = shape.metadata.get("enum") or getattr(shape, "enum", None)
    if enum:
        return str(random.choice(list(enum)))
    if name.endswith("Expression"):
        return expression(name, random)
    if name == "TableName" or name.endswith("TableName"):
        return random.choice(TABLES)
    if name == "IndexName":
        return random.choice(INDEXES)
    if name.endswith("Arn") and name in ARNS:
        return random.choice(ARNS[name])
    if name in WORDS:
        return random.choice(WORDS[name])
    if name in ("AttributeName", "AttributesToGet", "NonKeyAttributes"):
        return random.choice(NAMES)
    low = shape.metadata.get("min", 1)
    return "abcdefgh-" * (low // 9) + "abcdefgh-"[: low % 9 or 9]


WORDS = {
    "ClientRequestToken": ("token-1", "token-2", "token-3"),
    "FunctionName": ("echo", "echo", "fail", "made", "echo:1"),
    "ShardId": ("shardId-00000001780000000000-00000001", "shardId-00000000000000000000-00000000"),
    "UUID": ("8f2b4b1e-1111-4222-8333-444455556666",), "Policy": ('{"Version":"2012-10-17","Statement":[]}',),
    "Role": ("arn:aws:iam::000000000000:role/any",), "Handler": ("functions.echo",),
    "EventSourceArn": ARNS["StreamArn"],
    "Payload": ('{"a":1}',), "Resource": ("arn:aws:lambda:us-east-1:000000000000:function:echo",),
    "Pattern": ('{"dynamodb":{"Keys":{"pk":{"S":["a"]}}}}', '{"eventName":["INSERT"]}'), "Key": ("team", "a"),
    "Value": ("x", ""),
    "ShardIterator": (
        "arn:aws:dynamodb:us-east-1:000000000000:table/things/stream/2026-05-28T20:26:40.000|1|AAAA",
    ),
    **data_streams.WORDS,
}  # fmt: skip


# ---- Lambda's paths ----------------------------------------------------------------------------------------


def rest(operation: str, members: dict[str, Any]) -> tuple[str, str, dict[str, str], Any]:
    """Method, URL, headers and what is left for the body of a REST request."""
    model = service_model("lambda").operation_model(operation)
    url, headers, query, body = str(model.http["requestUri"]), {}, {}, dict(members)
    for name, shape in model.input_shape.members.items():
        if name not in members:
            continue
        where = shape.serialization.get("location")
        told = members[name] if isinstance(members[name], str) else str(members[name])
        if where == "uri":
            url = url.replace(f"{{{shape.serialization['name']}}}", quote(told, safe=""))
        elif where == "querystring":
            query[shape.serialization["name"]] = told
        elif where in ("header", "headers"):
            headers[shape.serialization.get("name", name)] = quote(told)
        else:
            continue
        del body[name]
    payload = model.input_shape.serialization.get("payload")
    return (
        str(model.http["method"]),
        f"{url}?{urlencode(query)}" if query else url,
        headers,
        body.get(payload, {}) if payload else body,
    )
