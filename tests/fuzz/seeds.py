"""Good requests, and the mutated request of a number: the same one for a seed and number, on any machine.

Rules of this file: pure. What the model makes is complemented by requests that go deep into the engine,
written by hand.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tailrace.api.taking import LARGE
from tailrace.api.wire import CBOR
from tests.fuzz import data_streams
from tests.fuzz.model import TARGETS, completed, members_of, operations, rest, service_model
from tests.fuzz.mutations import SIGNED, Request, mutate, mutate_bytes, mutate_wire
from tests.fuzz.words import ARNS, expression

KEY = {"pk": {"S": "a"}, "sk": {"S": "a"}}
WHOLE = {
    **KEY, "n": {"N": "1"}, "a": {"S": "abc"}, "b": {"B": "AQID"}, "tags": {"SS": ["x", "y"]},
    "numbers": {"NS": ["1", "2"]},
    "elems": {"L": [{"S": "a"}, {"M": {"a": {"N": "1"}}}]},
    "doc": {"M": {"n": {"S": "x"}, "a": {"M": {"b": {"N": "1"}}}}}, "oth": {"S": "o"},
}  # fmt: skip
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
INDEX = {
    "IndexName": "byOther",
    "KeySchema": [{"AttributeName": "oth", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "tags"]},
}
TYPES = [
    {"AttributeName": name, "AttributeType": kind}
    for name, kind in (("pk", "S"), ("sk", "S"), ("oth", "S"), ("n", "N"))
]
SCHEMA = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
LOCAL = {
    "IndexName": "byLocal",
    "KeySchema": [SCHEMA[0], {"AttributeName": "n", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"},
}
SAID = {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "0"}, {"N": "9"}]}
WORLD: tuple[dict[str, Any], ...] = (
    {"TableName": "things", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": TYPES[:2],
     "KeySchema": SCHEMA,
     "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}},
    {"TableName": "indexed", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": TYPES,
     "KeySchema": SCHEMA,
     "GlobalSecondaryIndexes": [INDEX], "LocalSecondaryIndexes": [LOCAL]},
    {"TableName": "numbers", "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS,
     "AttributeDefinitions": [{"AttributeName": "n", "AttributeType": "N"},
         {"AttributeName": "b", "AttributeType": "B"}],
     "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
     "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}},
)  # fmt: skip
"""The tables that there are, as long as no request deletes them."""


def good(random: Random) -> tuple[str, dict[str, Any]]:
    """A request that does something, most of the time."""
    table = random.choice(("things", "things", "indexed"))
    item = {**WHOLE, "pk": {"S": random.choice("abc")}, "sk": {"S": random.choice("abc")}}
    key = {name: item[name] for name in ("pk", "sk")}
    condition = (
        {"ConditionExpression": expression("ConditionExpression", random)} if random.random() < 0.4 else {}
    )
    asked = (
        {
            "ReturnConsumedCapacity": random.choice(("INDEXES", "TOTAL", "NONE")),
            "ReturnItemCollectionMetrics": "SIZE",
        }
        if random.random() < 0.3
        else {}
    )
    update = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": expression("UpdateExpression", random),
        **condition,
    }
    read = (
        {"TableName": table, "IndexName": random.choice(("byOther", "byLocal"))}
        if table == "indexed" and random.random() < 0.6
        else {"TableName": table}
    )
    paged = (
        {
            "Limit": random.choice((1, 2, 100)),
            "ExclusiveStartKey": random.choice(
                (key, {**key, "n": {"N": "1"}}, {**key, "n": {"N": "1"}, "oth": {"S": "o"}})
            ),
        }
        if random.random() < 0.4
        else {}
    )
    chosen: list[tuple[str, dict[str, Any]]] = [
        ("PutItem", {"TableName": table, "Item": item, "ReturnValues": "ALL_OLD", **condition, **asked}),
        ("PutItem",
         {"TableName": "numbers",
          "Item": {"n": {"N": random.choice(("1", "-1.5", "1E+3"))}, "b": {"B": "AA=="}, "ttl": {"N": "1"}}}),
        ("PutItem",
         {"TableName": table, "Item": item,
          "Expected": {"a": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "b"}]},
                       "n": {"Exists": False}}, "ConditionalOperator": "OR"}),
        ("UpdateItem",
         {**update, "ReturnValues": random.choice(("ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", "ALL_OLD")),
          "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **asked}),
        ("UpdateItem",
         {"TableName": table, "Key": key,
          "AttributeUpdates": {"n": {"Action": "ADD", "Value": {"N": "1"}},
                               "tags": {"Action": "DELETE", "Value": {"SS": ["x"]}},
                               "a": {"Action": "DELETE"}}}),
        ("DeleteItem", {"TableName": table, "Key": key, "ReturnValues": "ALL_OLD", **condition, **asked}),
        ("GetItem",
         {"TableName": table, "Key": key, "ProjectionExpression": expression("ProjectionExpression", random),
          "ConsistentRead": True}),
        ("GetItem", {"TableName": table, "Key": key, "AttributesToGet": ["a", "n"]}),
        ("Query",
         {**read, "KeyConditionExpression": expression("KeyConditionExpression", random),
          "FilterExpression": expression("FilterExpression", random), "ScanIndexForward": False, **paged}),
        ("Query",
         {**read,
          "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
                            "n": SAID}, "QueryFilter": {"a": {"ComparisonOperator": "NOT_NULL"}}, **paged}),
        ("Scan",
         {**read, "FilterExpression": expression("FilterExpression", random),
          "ProjectionExpression": expression("ProjectionExpression", random), **paged}),
        ("Scan",
         {**read,
          "ScanFilter": {"n": SAID,
                         "tags": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [{"S": "x"}]}},
                         "ConditionalOperator": "AND", "Segment": 0, "TotalSegments": 3, "Select": "COUNT"}),
        ("BatchGetItem",
         {"RequestItems": {table: {"Keys": [key, {**key, "pk": {"S": "z"}}],
             "ProjectionExpression": expression("ProjectionExpression", random)}},
             "ReturnConsumedCapacity": "INDEXES"}),
        ("BatchWriteItem",
         {"RequestItems": {table: [{"PutRequest": {"Item": item}},
             {"DeleteRequest": {"Key": {**key, "pk": {"S": "q"}}}}]}, "ReturnItemCollectionMetrics": "SIZE",
             "ReturnConsumedCapacity": "TOTAL"}),
        ("TransactWriteItems",
         {"TransactItems": [{"Update": update},
                            {"Put": {"TableName": "things", "Item": {**item, "pk": {"S": "t"}}}},
                            {"Delete": {"TableName": "things", "Key": {**key, "pk": {"S": "u"}}}},
                            {"ConditionCheck": {"TableName": "things", "Key": {**key, "pk": {"S": "v"}},
                                                "ConditionExpression": "attribute_not_exists(pk)"}}],
                                                **({"ClientRequestToken": random.choice(("t1", "t2",
                                                    "t3"))} if random.random() < 0.5 else {}), **asked}),
        ("TransactGetItems",
         {"TransactItems": [{"Get": {"TableName": table, "Key": key,
             "ProjectionExpression": expression("ProjectionExpression", random)}}],
             "ReturnConsumedCapacity": "TOTAL"}),
        ("CreateTable",
         {**random.choice(WORLD), "TableName": random.choice(("made-1", "made-2")),
          "Tags": [{"Key": "team", "Value": "x"}], "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
          "DeletionProtectionEnabled": False, "TableClass": "STANDARD"}),
        ("CreateTable",
         {"TableName": "made-1", "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": TYPES,
          "KeySchema": SCHEMA,
          "GlobalSecondaryIndexes": [{**INDEX, "OnDemandThroughput": {"MaxReadRequestUnits": 5},
              "WarmThroughput": {"ReadUnitsPerSecond": 20_000, "WriteUnitsPerSecond": 8_000}}],
              "LocalSecondaryIndexes": [LOCAL],
              "OnDemandThroughput": {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 5}}),
        ("UpdateTable",
         {"TableName": random.choice(("made-1", "indexed")), "AttributeDefinitions": TYPES,
          "GlobalSecondaryIndexUpdates": [random.choice(({"Create": {**INDEX, "IndexName": "more"}},
              {"Delete": {"IndexName": "more"}},
              {"Update": {"IndexName": "byOther", "OnDemandThroughput": {"MaxReadRequestUnits": 5},
                          "WarmThroughput": {"ReadUnitsPerSecond": 30_000}}}))]}),
        ("UpdateTable",
         {"TableName": random.choice(("made-1", "made-2", "numbers")),
          **random.choice(({"ProvisionedThroughput": UNITS, "BillingMode": "PROVISIONED"},
                           {"BillingMode": "PAY_PER_REQUEST"},
                           {"OnDemandThroughput": {"MaxReadRequestUnits": 7}},
                           {"WarmThroughput": {"ReadUnitsPerSecond": 20_000}},
                           {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
                           {"StreamSpecification": {"StreamEnabled": False}},
                           {"SSESpecification": {"Enabled": True}}, {"TableClass": "STANDARD"}))}),
        ("DeleteTable", {"TableName": random.choice(("made-1", "made-2"))}),
        ("DescribeTable", {"TableName": table}),
        ("UpdateTimeToLive",
         {"TableName": "numbers",
          "TimeToLiveSpecification": {"Enabled": random.random() < 0.5, "AttributeName": "ttl"}}),
        ("UpdateContinuousBackups",
         {"TableName": table,
          "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True,
              "RecoveryPeriodInDays": 7}}),
        ("TagResource", {"ResourceArn": ARNS["ResourceArn"][0], "Tags": [{"Key": "team", "Value": "x"}]}),
        ("PutResourcePolicy",
         {"ResourceArn": ARNS["ResourceArn"][0], "Policy": '{"Version":"2012-10-17","Statement":[]}',
          "ExpectedRevisionId": "NO_POLICY"}),
    ]  # fmt: skip
    name, members = random.choice(chosen)
    made: dict[str, Any] = completed(json.loads(json.dumps(members)), random)
    return name, made


STREAMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ListStreams", {"TableName": "things", "Limit": 5}),
    ("DescribeStream",
     {"StreamArn": "@StreamArn", "Limit": 5, "ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": "@ShardId"}}),
    ("GetShardIterator",
     {"StreamArn": "@StreamArn", "ShardId": "@ShardId", "ShardIteratorType": "TRIM_HORIZON"}),
    ("GetShardIterator",
     {"StreamArn": "@StreamArn", "ShardId": "@ShardId", "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
      "SequenceNumber": "@SequenceNumber"}),
    ("GetRecords", {"ShardIterator": "@ShardIterator", "Limit": 10}),
)  # fmt: skip
LAMBDA: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CreateEventSourceMapping",
     {"EventSourceArn": "@StreamArn", "FunctionName": "echo", "StartingPosition": "TRIM_HORIZON",
      "BatchSize": 10, "Enabled": False, "MaximumRetryAttempts": 2,
      "FilterCriteria": {"Filters": [{"Pattern": '{"eventName":["INSERT"]}'}]},
      "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}},
      "FunctionResponseTypes": ["ReportBatchItemFailures"]}),
    ("CreateEventSourceMapping",
     {"EventSourceArn": "@StreamArn", "FunctionName": "fail", "StartingPosition": "LATEST",
      "TumblingWindowInSeconds": 10, "MaximumRecordAgeInSeconds": 60, "Enabled": True, "Tags": {"a": "b"}}),
    ("UpdateEventSourceMapping",
     {"UUID": "@UUID", "BatchSize": 7, "ParallelizationFactor": 2, "BisectBatchOnFunctionError": True}),
    ("DeleteEventSourceMapping", {"UUID": "@UUID"}),
    ("ListEventSourceMappings", {"EventSourceArn": "@StreamArn", "MaxItems": 5}),
    ("Invoke",
     {"FunctionName": "echo", "InvocationType": "RequestResponse", "Payload": {"a": 1}, "LogType": "Tail"}),
    ("Invoke", {"FunctionName": "fail", "InvocationType": "Event", "Payload": {"a": 1}}),
    ("UpdateFunctionConfiguration",
     {"FunctionName": "echo", "Timeout": 5, "MemorySize": 256, "Environment": {"Variables": {"PLACE": "b"}},
      "Description": "d"}),
    ("TagResource", {"Resource": "arn:aws:lambda:us-east-1:000000000000:function:echo", "Tags": {"a": "b"}}),
)  # fmt: skip
HARVESTED = (
    "ShardIterator",
    "NextShardIterator",
    "StreamArn",
    "LatestStreamArn",
    "StreamARN",
    "ConsumerARN",
    "NextToken",
    "ShardId",
    "SequenceNumber",
    "UUID",
    "RevisionId",
    "LastEvaluatedTableName",
    "NextMarker",
)
STANDS_FOR = {
    "NextShardIterator": "ShardIterator",
    "LatestStreamArn": "StreamArn",
    "NextMarker": "Marker",
    "RevisionId": "ExpectedRevisionId",
}
MOST_KNOWN = 20
NEWEST = 4
"""Of what is known, the newest is still there."""


Known = dict[str, dict[str, list[str]]]
"""Values of earlier answers by their member, for each service whose members mean the same."""


def shelf(known: Known, operation: str) -> dict[str, list[str]]:
    """Where what an operation's answers name is kept, by its target."""
    return known.setdefault("kinesis" if operation.startswith(TARGETS["kinesis"]) else "", {})


def harvest(answer: Any, known: dict[str, list[str]]) -> None:
    """Remember what later requests may name."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name in HARVESTED and isinstance(value, str):
                listed = known.setdefault(STANDS_FOR.get(name, name), [])
                if value not in listed:
                    listed.append(value)
                    del listed[:-MOST_KNOWN]
            else:
                harvest(value, known)
    elif isinstance(answer, list):
        for one in answer[:MOST_KNOWN]:
            harvest(one, known)


Call = Callable[[str, str, dict[str, Any]], Any]
"""Makes a request without a mutation: target's service, operation, members. Returns: the answer, None
for a refusal.
"""


def furnish(call: Call, known: Known) -> None:
    """Make what is missing of the world, and look at its streams, so that requests can name what is there."""
    for table in WORLD:
        call("dynamodb", "CreateTable", table)
    call("dynamodb", "PutItem", {"TableName": "things", "Item": WHOLE})
    call("dynamodb", "PutItem", {"TableName": "indexed", "Item": WHOLE})
    for stream in (call("dynamodbstreams", "ListStreams", {"TableName": "things"}) or {}).get("Streams", ())[
        -1:
    ]:
        arn = stream["StreamArn"]
        told = call("dynamodbstreams", "DescribeStream", {"StreamArn": arn})
        shard = told["StreamDescription"]["Shards"][-1]["ShardId"]
        asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        answer = call("dynamodbstreams", "GetShardIterator", asked)
        records = call("dynamodbstreams", "GetRecords", {**answer, "Limit": 5})
        for one in (told, answer, records):
            harvest(one, shelf(known, TARGETS["dynamodbstreams"]))
    harvest(data_streams.furnish(call), shelf(known, TARGETS["kinesis"]))


PLACES = (
    "/",
    "/metrics",
    "/ready",
    "/health",
    "/2015-03-31/",
    "/2015-03-31/functions/",
    "/2017-03-31/tags/x",
    "/favicon.ico",
)


def request_of(seed: int, number: int, known: Known, services: tuple[str, ...]) -> Request:
    """The mutated request of a number. Shape: `known` are values of earlier answers by their member."""
    random = Random(f"{seed}/{number}")
    service = random.choice(services)
    if service == "http":
        return Request(
            "http",
            random.choice(("GET", "HEAD", "PUT", "OPTIONS", "DELETE", "POST")),
            random.choice(PLACES),
            dict(SIGNED),
            random.choice((b"", b"{}", b"x")),
            may_fail=False,
        )
    if random.random() < 0.65 and service != "lambda":
        listed = data_streams.GOOD if service == "kinesis" else STREAMS
        name, members = good(random) if service == "dynamodb" else random.choice(listed)
    elif random.random() < 0.5 and service == "lambda":
        name, members = random.choice(LAMBDA)
    else:
        name = random.choice(operations(service))
        members = members_of(service, name, random) if name in service_model(service).operation_names else {}
    members = _known(json.loads(json.dumps(members)), shelf(known, TARGETS.get(service, "")), random)
    done: list[str] = []
    mutated: Any = members
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
        if isinstance(mutated, dict):
            mutated, word = mutate(mutated, random)
            done.append(word)
    request = _sent(service, name, mutated, tuple(done), random)
    if random.random() < 0.08 and request.body:
        is_cbor = request.headers["Content-Type"] == CBOR.decode() and random.random() < 0.7
        body, word = (data_streams.mutate_cbor if is_cbor else mutate_bytes)(request.body, random)
        request = Request(
            request.operation, request.method, request.url, request.headers, body, (*request.done, word)
        )
    if random.random() < 0.01 and request.body:
        done = (*request.done, "blanks before it")  # a body of this size is taken apart in another process
        request = replace(request, body=b" " * LARGE + request.body, done=done)
    return mutate_wire(request, random) if random.random() < 0.06 else request


def _sent(service: str, name: str, members: Any, done: tuple[str, ...], random: Random) -> Request:
    if service == "kinesis":
        target = f"{TARGETS[service]}.{name}"
        kind, body = data_streams.body_of(members, random)
        headers = {**SIGNED, "Content-Type": kind, "X-Amz-Target": target}
        return Request(target, "POST", "/", headers, body, done)
    if service != "lambda":
        target = f"{TARGETS[service]}.{name}"
        return Request(
            target, "POST", "/", {**SIGNED, "X-Amz-Target": target}, json.dumps(members).encode(), done
        )
    method, url, headers, body = rest(name, members if isinstance(members, dict) else {})
    sent = b"" if method == "GET" else json.dumps(body).encode()
    return Request(f"lambda.{name}", method, url, {**SIGNED, **headers}, sent, done)


def _known(value: Any, known: dict[str, list[str]], random: Random) -> Any:
    """The value with what was answered earlier in place of `@Member`, and now and then anywhere it fits."""
    if isinstance(value, dict):
        return {name: _told(name, one, known, random) for name, one in value.items()}
    return [_known(one, known, random) for one in value] if isinstance(value, list) else value


def _told(name: str, value: Any, known: dict[str, list[str]], random: Random) -> Any:
    if isinstance(value, str) and value.startswith("@"):
        return random.choice(known.get(value[1:], [value])[-NEWEST:])
    if isinstance(value, str) and name in known and random.random() < 0.8:
        return random.choice(known[name][-NEWEST:])
    return _known(value, known, random)
