"""What is not there says so; and coverage knows every operation of the service model that botocore ships."""

import botocore.session
import pytest

from tailrace.api.coverage import coverage
from tailrace.api.registry import DYNAMODB, KINESIS, STREAMS, Operation, find_operations
from tests.conformance.client import Conformance

TEXT = "Tailrace does not emulate {} yet. `tailrace coverage` lists what it does."
COVERED = {(one["service"], one["operation"]): one for one in coverage()}
ABSENT = [one for one in find_operations().values() if not one.emulated]
SERVICES = {"dynamodb": DYNAMODB, "dynamodbstreams": STREAMS, "kinesis": KINESIS}


@pytest.mark.parametrize("operation", ABSENT, ids=lambda one: one.name)
def test_an_operation_that_is_not_there_says_so(api: Conformance, operation: Operation) -> None:
    service, name = operation.service, operation.name
    status, answer = api.raw(name, {}, service.target)
    assert (status, answer["message"]) == (400, TEXT.format(name))
    prefix = "" if service is KINESIS else "com.amazon.coral.service#"
    assert answer["__type"] == f"{prefix}UnknownOperationException"
    assert COVERED[service.target, name]["state"] == "no"


def test_an_operation_that_never_was_is_unknown(api: Conformance) -> None:
    assert api.raw("Nothing", {}) == (400, {"__type": "com.amazon.coral.service#UnknownOperationException"})


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_the_service_model_is_covered(service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    target = SERVICES[service].target
    assert set(model.operation_names) <= {name for of, name in COVERED if of == target}


@pytest.mark.parametrize("service", SERVICES)
def test_every_parameter_of_what_is_there_is_known(service: str) -> None:
    """A parameter is either done or named under `not_emulated`; none is silently ignored."""
    model = botocore.session.get_session().get_service_model(service)
    for entry in find_operations((SERVICES[service],)).values():
        if not entry.emulated:
            continue
        shape = model.operation_model(entry.name).input_shape
        assert set(shape.members) <= set(entry.input.structure.members), entry.name
        assert set(shape.required_members) <= entry.input.structure.required, entry.name


def test_coverage_lists_what_an_operation_lacks() -> None:
    create = COVERED[DYNAMODB.target, "CreateTable"]
    assert create["state"] == "partly"
    assert "GlobalTableSourceArn" in create["not_emulated"]
    assert "policy" in create["note"]
    assert COVERED[DYNAMODB.target, "PutItem"]["state"] == "yes"
    assert COVERED[DYNAMODB.target, "DescribeTable"]["state"] == "yes"
    assert len(COVERED) >= 61
