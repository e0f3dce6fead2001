"""The committed models are what botocore's models give, and every member of them is served or refused.

Rules of this file: what it says of the code's sources is asked of their texts; a canary shows that
each check can fail.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import tailrace
from tailrace.api.inputs import ServiceModel
from tailrace.api.registry import SERVICES, Operation, find_operations
from tailrace.api.shapes import Many, Shape, StringMap, Structure
from tests.generated import shapes

ROOT = Path(tailrace.__file__).parent
CODE = "code does not come over the wire: what runs is what --function names"
ONE_VERSION = "there is one version of a function, in its own region"
WITHOUT_EFFECT = {
    "ConfirmRemoveSelfResourceAccess": "no policy is enforced, so none can lock its owner out",
    "S3Bucket": CODE, "S3Key": CODE, "S3ObjectStorageMode": CODE, "S3ObjectVersion": CODE,
    "SourceKMSKeyArn": CODE,
    "StreamId": "AWS reserves it for later", "ScalingType": "there is one",
    "ImageUri": CODE, "FunctionVersion": ONE_VERSION, "MasterRegion": ONE_VERSION,
}  # fmt: skip
"""Members that are taken and change nothing on AWS either, as long as what they speak of is not there."""


@pytest.mark.parametrize("name", shapes.MODELS)
def test_the_committed_models_are_what_botocore_gives(name: str) -> None:
    committed = (shapes.FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert committed == shapes.module(name), "rewrite them: python -m tests.generated.shapes"


def test_a_changed_model_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shapes.module("streams")
    monkeypatch.setattr(shapes, "KEPT", ("min", "max"))
    assert shapes.module("streams") != before


@cache
def sources() -> str:
    """Every text of the package, but for the models and what is laid over them."""
    return "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(ROOT.rglob("*.py"))
        if path.parent.name != "models" and path.name != "overrides.py"
    )


@cache
def words() -> frozenset[str]:
    """Every text in quotes and every keyword of the package."""
    return frozenset(
        text or keyword
        for text, keyword in re.findall(r"[\"']([A-Za-z]+)[\"']|\b([A-Z][A-Za-z]+)=", sources())
    )


def members(shape: Shape) -> Iterator[str]:
    """Every name of a member in a shape."""
    match shape:
        case Structure():
            for name, inside in shape.members.items():
                yield name
                yield from members(inside)
        case Many(of=inside) | StringMap(of=inside):
            yield from members(inside)
        case _:
            return


def ignored(operation: Operation) -> set[str]:
    """Members that no code names, and that are not refused."""
    refused = {*operation.input.refused, *operation.input.limited}
    served = {name: one for name, one in operation.input.structure.members.items() if name not in refused}
    return set(members(Structure(served))) - words() - WITHOUT_EFFECT.keys()


@pytest.mark.parametrize(
    "operation", [one for one in find_operations(SERVICES).values() if one.emulated], ids=lambda one: one.name
)
def test_no_member_of_the_model_is_ignored_in_silence(operation: Operation) -> None:
    assert ignored(operation) == set(), "serve it, or name it in the operation's `refused`"


def test_a_member_that_nobody_serves_would_be_told() -> None:
    put = next(one for one in find_operations().values() if one.name == "PutItem")
    strange = Structure({**put.input.structure.members, "Unheard": put.input.structure.members["Item"]})
    assert ignored(Operation(put.service, put.name, type(put.input)(strange), put.check, put.run)) == {
        "Unheard"
    }
    assert (
        ignored(
            Operation(put.service, put.name, type(put.input)(strange, {"Unheard": None}), put.check, put.run)
        )
        == set()
    )


def test_an_override_of_what_the_model_does_not_have_is_refused() -> None:
    known: Mapping[str, Mapping[str, object]] = {
        "In": {"type": "structure", "members": {"Name": "Text"}},
        "Text": {"type": "string"},
    }
    for stranger in ("Out", "In.Other", "Text.Name"):
        with pytest.raises(LookupError, match=re.escape(f"the model has no {stranger}")):
            ServiceModel({}, known, {stranger: {"max": 1}})
