"""The words of requests: names that the world of the campaign knows, the grammar of
expressions, and hostile scalars.

Rules of this file: data and pure functions of random numbers.
"""

import re
from random import Random
from typing import Any

TABLES = (
    "things",
    "things",
    "indexed",
    "numbers",
    "made-1",
    "made-2",
    "absent",
    "arn:aws:dynamodb:us-east-1:000000000000:table/things",
)
INDEXES = ("byOther", "byLocal", "absent")
NAMES = ("pk", "sk", "a", "n", "b", "tags", "elems", "doc", "oth", "x.y", "size", "é")
_TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/"
ARNS = {
    "ResourceArn": (f"{_TABLE}things", f"{_TABLE}absent", f"{_TABLE}things/stream/2026-05-28T20:26:40.000"),
    "StreamArn": (f"{_TABLE}things/stream/2026-05-28T20:26:40.000",
                  f"{_TABLE}absent/stream/2026-05-28T20:26:40.000"),
    "ExclusiveStartStreamArn": (f"{_TABLE}things/stream/2026-05-28T20:26:40.000",),
}  # fmt: skip
PATHS = ("a", "#n", "#k", "doc.#n", "elems[0]", "elems[1].a", "tags", "n", "pk", "doc.a.b", "#n[2]", "oth")
CONDITIONS = (
    "{p} = {v}", "{p} <> {v}", "{p} < {v}", "{p} BETWEEN {v} AND {v}", "{p} IN ({v}, {v})",
    "attribute_exists({p})",
    "attribute_not_exists({p})", "attribute_type({p}, {v})", "begins_with({p}, {v})", "contains({p}, {v})",
    "size({p}) > {v}",
    "NOT {p} = {v}", "({p} = {v} OR {p} > {v})", "{p} >= {p}",
)  # fmt: skip
UPDATES = (
    "SET {p} = {v}", "SET {p} = {p} + {v}", "SET {p} = if_not_exists({p}, {v})",
    "SET {p} = list_append({p}, {v})", "REMOVE {p}",
    "ADD {p} {v}", "DELETE {p} {v}", "SET {p} = {v} REMOVE {p}", "SET {p} = {v}, {p} = {v}",
    "SET {p} = {p} - {v} ADD {p} {v}",
)  # fmt: skip
TOKENS = (
    "SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN", "(", ")", "[", "]", "[0]",
    "[99999999999999999999]", ".", ",", "=",
    "<>", "<", "+", "-", ":v", ":v1", "#n", "#", ":", "a", "pk", "size(a)", "attribute_exists(a)",
    "if_not_exists(a, :v)", "list_append(a, :v)",
    "begins_with", "contains", "0", "1e5", '"a"', "'a'", "é", "💩", "\u0000", "\n", "%s", "{0}", "SELECT",
    "size", "a.b.c.d", "(((((", ")))))",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 255, 256, 65_536, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1,
    2**64, 10**30, -(10**30),
    0.5, -0.0, 1e-300, 1e300, 1.7976931348623157e308,
)  # fmt: skip
NUMBER_TEXTS = (
    "NaN", "Infinity", "-Infinity", "", " 1", "1 ", "+1", "-0", "0x10", "1e", "1e126", "-1e126", "1e-131",
    "1e2147483648", "1e-99999999999999", "1" * 39, "0." + "0" * 130 + "1",
    "1_000", "٣", "1.2.3", "--1", ".", "e5", "1E+125", "9" * 38 + "E+88", "0" * 500 + "1",
)  # fmt: skip
TEXTS = (
    "", " ", "a", "\u0000", "é", "💩", "ﬀ", "\u202e", "a/b", "../../etc/passwd", "%00", "#n", ":v", "$",
    "aws:x", "null", "true", "0",
    "{}", "[]", "<EOF>", "a" * 255, "a" * 256, "a" * 1_025, "é" * 2_049, "AA==", "AA", "A===", "=",
    "2026-13-45T99:99:99Z", "arn:aws:", "arn:aws:dynamodb:::",
    "arn:aws:dynamodb:us-east-1:000000000000:table/things/index/byOther",
    "arn:aws:lambda:us-east-1:000000000000:function:echo:" + "1" * 200,
)  # fmt: skip
SHARED: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    {"": {}},
    {"Dog": {}},
    {"S": "a"},
    {"S": None},
    {"L": {}},
    {"M": []},
    {"N": 1},
    {"a": {"S": "x"}},
)


def expression(member: str, random: Random) -> str:
    """An expression of the grammar, mostly."""
    if member == "ProjectionExpression":
        return ", ".join(random.sample(PATHS, random.randint(1, 3)))
    if member == "KeyConditionExpression":
        return random.choice(
            (
                "pk = :v",
                "#k = :v",
                "pk = :v AND sk = :v1",
                "pk = :v AND begins_with(sk, :v1)",
                "pk = :v AND sk BETWEEN :v AND :v1",
                "oth = :v AND n > :v3",
                "n = :v3",
            )
        )
    one = UPDATES if member == "UpdateExpression" else CONDITIONS
    count = 1 if one is UPDATES else random.choice((1, 1, 2, 3))
    return random.choice((" AND ", " OR ")).join(_filled(random.choice(one), random) for _ in range(count))


def _filled(template: str, random: Random) -> str:
    while "{p}" in template:
        template = template.replace("{p}", random.choice(PATHS), 1)
    while "{v}" in template:
        template = template.replace("{v}", random.choice((":v", ":v1", ":v2", ":v3")), 1)
    return template


GIVEN: dict[str, dict[str, Any]] = {
    ":v": {"S": "a"},
    ":v1": {"S": "b"},
    ":v2": {"L": [{"N": "1"}]},
    ":v3": {"N": "1"},
}


def placeholders(texts: list[str], random: Random) -> tuple[dict[str, str], dict[str, Any]]:
    """What the texts name behind placeholders."""
    placeholders = re.findall(r"[#:][a-z0-9]+", " ".join(texts))
    names = {name: "pk" if name == "#k" else "n" for name in placeholders if name.startswith("#")}
    values = {name: GIVEN.get(name, {"S": "x"}) for name in placeholders if name.startswith(":")}
    if random.random() < 0.1 and values:
        values[random.choice(list(values))] = random.choice(list(GIVEN.values()))
    return names, values


def hostile(random: Random) -> Any:
    """Something that does not belong anywhere. Fresh, so that no mutation changes the lists above."""
    match random.randrange(12):
        case 0 | 1 | 2:
            return random.choice(NUMBERS)
        case 3:
            return random.choice(NUMBER_TEXTS)
        case 4 | 5 | 6:
            return random.choice(TEXTS)
        case 7:
            return nested(random, random.choice((3, 30, 33, 100, 150)))
        case 8 if random.random() < 0.1:
            return "x" * random.choice((5_000, 70_000, 420_000))
        case _:
            return _copied(random.choice(SHARED))


def nested(random: Random, depth: int) -> Any:
    """A value inside of many."""
    kind = random.randrange(4)
    made: Any = {"S": "deep"}
    for _ in range(depth):
        made = ({"L": [made]}, {"M": {"a": made}}, [made], {"a": made})[kind]
    return made


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def mangled(text: str, random: Random) -> str:
    """An expression, or any text, with some of its tokens gone, doubled, exchanged or strange."""
    tokens = re.findall(r"\s+|\w+|[#:]\w+|.", text) or [""]
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(tokens))
        match random.randrange(6):
            case 0:
                del tokens[place]
            case 1:
                tokens.insert(place, tokens[place])
            case 2:
                other = random.randrange(len(tokens))
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case 3:
                tokens[place] = random.choice(TOKENS)
            case 4:
                tokens.insert(place, f" {random.choice(TOKENS)} ")
            case _:
                tokens[place] = tokens[place] * random.choice((2, 50, 300))
        tokens = tokens or [""]
    return "".join(tokens)[:500_000]
