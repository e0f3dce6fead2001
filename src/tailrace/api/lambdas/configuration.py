"""The configuration of a function as Lambda's API takes it and tells it: members, their bounds, and the document.

Rules of this file: values in, values out; what would need code or a network of AWS's is refused by its name, so that no setting is ignored in silence.
Called by the operations. Source: AWS Lambda API Reference, CreateFunction, FunctionConfiguration.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tailrace.api.lambdas.constraints import (
    FUNCTION_NAME,
    Violations,
    invalid,
    members,
    text,
    unreadable,
    whole,
)
from tailrace.api.lambdas.functions import Function
from tailrace.app.function_settings import RESERVED, FunctionSettings
from tailrace.errors import ApiError, SettingsError
from tailrace.sinks.lambda_function import function_arn

ROLE: Final = r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
RANGES: Final = {"Timeout": (1, 900), "MemorySize": (128, 10_240)}
KEPT: Final = (
    "Timeout", "MemorySize", "Environment", "Description", "Handler", "Role", "Runtime", "Architectures", "EphemeralStorage",
    "TracingConfig", "PackageType",
)  # fmt: skip
"""What is kept and shown. Of it Timeout, MemorySize and Environment are carried out."""
ENVIRONMENT_BYTES: Final = 4_096


def check_function_name(name: object) -> str:
    """The name in CreateFunction. Raises: ApiError."""
    violations = Violations()
    violations.given("FunctionName", name)
    if name is not None:
        violations.fits("FunctionName", text("FunctionName", name), FUNCTION_NAME)
        violations.sized("FunctionName", str(name), 1, 140)
    violations.refuse()
    return str(name)


def read_configuration(
    payload: Mapping[str, Any], before: Mapping[str, Any], known: tuple[str, ...]
) -> dict[str, Any]:
    """A function's settings, those of the payload changed; `known` are members that the operation itself reads. Raises: ApiError."""
    for name, value in payload.items():
        if name not in (*KEPT, *known) and value not in (None, {}, [], "", False):
            raise invalid(f"Tailrace does not emulate {name} of functions.")
    given = {name: payload[name] for name in KEPT if payload.get(name) is not None}
    violations = Violations()
    for name, (lowest, highest) in RANGES.items():
        if name in given:
            violations.within(name, whole(name, given[name]), lowest, highest)
    if "Description" in given:
        violations.sized("Description", text("Description", given["Description"]), 0, 256)
    if "Handler" in given:
        violations.sized("Handler", text("Handler", given["Handler"]), 0, 128)
    if "Role" in given:
        violations.fits("Role", text("Role", given["Role"]), ROLE)
    if "PackageType" in given:
        violations.one_of("PackageType", given["PackageType"], ("Zip",))
    violations.refuse()
    settings = {**before, **given}
    if "Environment" in given:
        del settings["Environment"]
        if variables := _variables(given["Environment"]):
            settings["Environment"] = {"Variables": variables}
    return settings


def _variables(given: object) -> dict[str, str]:
    variables = members("Environment", given, ("Variables",)).get("Variables", {})
    if not isinstance(variables, dict):
        raise unreadable("Variables", "object of texts")
    reserved = sorted(RESERVED.intersection(variables))
    unable = "Lambda was unable to configure your environment variables because the environment variables you have provided"
    if reserved:
        raise invalid(
            f"{unable} contains reserved keys that are currently not supported for modification. Reserved keys used in this "
            f"request: {', '.join(reserved)}"
        )
    measured = orjson.dumps(variables)
    if len(measured) > ENVIRONMENT_BYTES:
        raise invalid(f"{unable} exceeded the 4KB limit. String measured: {measured.decode()}")
    try:
        FunctionSettings.read({"Environment": {"Variables": variables}})
    except SettingsError as error:
        raise invalid(str(error.args[0])) from error
    return variables


def code_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What can be told of the code that a client sent, which is not run. Raises: ApiError."""
    violations = Violations()
    violations.given("Role", payload.get("Role"))
    violations.given("Code", payload.get("Code"))
    violations.refuse()
    if payload.get("PackageType", "Zip") == "Zip" and not (payload.get("Runtime") and payload.get("Handler")):
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    code = payload["Code"]
    sent = code.get("ZipFile", "") if isinstance(code, dict) else None
    if not isinstance(sent, str):
        raise unreadable("Code", "object")
    try:
        data = b64decode(sent, validate=True)
    except ValueError as error:  # characters beyond ASCII are no binascii.Error
        raise unreadable("ZipFile", "base64 text") from error
    return {"CodeSize": len(data), "CodeSha256": b64encode(hashlib.sha256(data).digest()).decode()}


def document(function: Function, region: str, account: str) -> dict[str, Any]:
    """A function's configuration."""
    kept, code = dict(function.configured.settings), function.code.code
    changed = datetime.fromtimestamp(function.configured.modified_ms / 1_000, UTC)
    return {
        "Handler": f"{code.module}.{code.attribute}",
        "CodeSize": 0,
        **kept,
        "FunctionName": function.name,
        "FunctionArn": function_arn(region, account, function.name),
        "LastModified": changed.isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
        "RevisionId": revision(function),
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }


def revision(function: Function) -> str:
    """What changes with every change of the configuration."""
    kept = orjson.dumps([function.name, function.configured.fields()], option=orjson.OPT_SORT_KEYS)
    digits = hashlib.sha256(kept).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def check_revision(function: Function, given: object) -> None:
    """Raises: ApiError when a caller has seen another configuration."""
    if given is not None and given != revision(function):
        raise ApiError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the "
            "latest Revision Id",
            status=412,
        )
