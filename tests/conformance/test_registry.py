"""An operation is one file: it is found, answered and listed without a word about it anywhere else."""

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace.api.dynamodb
import tailrace.api.lambdas
from tailrace.api import registry
from tailrace.api.coverage import Covered, coverage
from tailrace.api.dispatch import Dispatcher
from tailrace.api.registry import DYNAMODB, LAMBDA, SERVICES, find_operations, operation
from tests.conformance.client import SIGNED, Conformance

BACKUPS = '''"""ListBackups: the backups of a table.

Behaviour:     none.
Limits:        none.
Not emulated:  all of it.
Source:        a test.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "ListBackups")
def list_backups(engine: Engine, payload: Payload) -> Result:
    """List backups."""
    return {"BackupSummaries": [], "Limit": payload.get("Limit", 0)}
'''
LAYERS = '''"""ListLayers: the layers of an account.

Behaviour:     none.
Limits:        none.
Not emulated:  all of it.
Source:        a test.
"""

from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "ListLayers")
async def list_layers(service: list[int], payload: Payload) -> Members:
    """List layers."""
    return {"Layers": [], "MaxItems": payload.get("MaxItems", 0), "Kept": service}
'''


@pytest.fixture
def added(tmp_path: Path) -> Iterator[None]:
    """Two services with one file more; the registry is afterwards what it was."""
    known, packages = dict(registry._REGISTERED), (tailrace.api.dynamodb, tailrace.api.lambdas)
    find_operations(SERVICES)
    for package, name, text in zip(packages, ("list_backups", "list_layers"), (BACKUPS, LAYERS), strict=True):
        place = tmp_path / name
        place.mkdir()
        (place / f"{name}.py").write_text(text)
        package.__path__.append(str(place))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for package, name in zip(packages, ("list_backups", "list_layers"), strict=True):
            package.__path__.pop()
            sys.modules.pop(f"{package.__name__}.{name}", None)
        for target in (b"DynamoDB_20120810.ListBackups", b"Lambda.ListLayers"):
            registry._REGISTERED.pop(target, None)
        registry._REGISTERED.update(known)


def covered(name: str) -> Covered:
    """What coverage says of an operation."""
    return next(one for one in coverage() if one["operation"] == name)


@pytest.mark.usefixtures("added")
def test_an_operation_is_found_answered_and_listed_from_its_file_alone(api: Conformance) -> None:
    assert find_operations()[b"DynamoDB_20120810.ListBackups"].emulated
    assert covered("ListBackups")["state"] == "yes"
    server = Conformance(api.engine)
    assert server.raw("ListBackups", {"Limit": 3}) == (200, {"BackupSummaries": [], "Limit": 3})
    status, answer = server.raw("ListBackups", {"Limit": 0})
    assert (status, "'limit' failed to satisfy constraint" in answer["message"]) == (400, True)


@pytest.mark.usefixtures("added")
def test_one_that_waits_is_found_by_its_path_and_given_what_its_service_keeps(api: Conformance) -> None:
    dispatcher = Dispatcher(api.engine)
    dispatcher.serve(LAMBDA, [7])
    headers = {name.lower().encode(): value.encode() for name, value in SIGNED.items()}

    def asked(url: bytes) -> tuple[int, dict[str, object]]:
        told = asyncio.run(dispatcher.ask(b"GET", url, headers, b""))
        return told.status, json.loads(told.body)

    assert asked(b"/2018-10-31/layers?MaxItems=5") == (200, {"Layers": [], "MaxItems": 5, "Kept": [7]})
    status, answer = asked(b"/2018-10-31/layers?MaxItems=51")
    assert (status, "'maxItems' failed to satisfy constraint" in str(answer["message"])) == (400, True)
    status, answer = asked(
        b"/2018-10-31/layers?find=LayerVersion&Arn=any"
    )  # another operation of the same path
    assert (status, "GetLayerVersionByArn yet" in str(answer["message"])) == (404, True)
    assert asked(b"/2018-10-31/nothing")[0] == 404
    assert dispatcher.requests[("ListLayers", "200")] == 1


def test_before_it_is_added_it_is_not_there(api: Conformance) -> None:
    assert covered("ListBackups")["state"] == "no"
    assert api.raw("ListBackups", {})[0] == 400


def test_an_operation_of_lambda_is_there_in_part_where_its_header_says_what_is_missing() -> None:
    assert (covered("GetFunction")["state"], covered("ListTags")["state"]) == ("partly", "yes")
    assert covered("GetFunction")["note"].startswith("versions, aliases")


def test_coverage_lists_every_operation_of_the_models_once() -> None:
    listed = [(one["service"], one["operation"]) for one in coverage()]
    assert sorted(listed) == sorted((one.target, name) for one in SERVICES for name in one.model.operations)
    counts = {one.target: len(one.model.operations) for one in SERVICES}
    assert counts == {
        "DynamoDB_20120810": 62, "DynamoDBStreams_20120810": 4, "Kinesis_20131202": 57, "Lambda": 91,
        "STS": 11,
    }  # fmt: skip


def test_a_member_that_the_model_does_not_have_cannot_be_refused() -> None:
    with pytest.raises(LookupError, match="ListBackups has no Nothing"):
        operation(DYNAMODB, "ListBackups", refused={"Nothing": None})
