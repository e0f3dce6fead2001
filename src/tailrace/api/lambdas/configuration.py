"""A function's configuration as Lambda's API reads and answers it: members, bounds, the document.

Rules of this file: values in, values out; what would need code or a network of AWS's is refused by its name,
so that no setting is ignored in silence. Called by the operations. Source: AWS Lambda API Reference,
CreateFunction, FunctionConfiguration.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tailrace.api.lambdas.functions import DeployedFunction
from tailrace.app.function_settings import RESERVED, FunctionSettings
from tailrace.errors import ApiError, SettingsError, invalid_parameter
from tailrace.sinks.lambda_function import function_arn

KEPT: Final = (
    "Timeout",
    "MemorySize",
    "Environment",
    "Description",
    "Handler",
    "Role",
    "Runtime",
    "Architectures",
    "EphemeralStorage",
    "TracingConfig",
    "PackageType",
)
"""What is kept and shown. Of it Timeout, MemorySize and Environment are carried out."""
CREATED_WITH: Final = ("Publish", "PublishTo", "CodeSigningConfigArn", "TenancyConfig")
NOT_EMULATED: Final = dict.fromkeys(
    (
        *CREATED_WITH,
        "VpcConfig",
        "DeadLetterConfig",
        "KMSKeyArn",
        "Layers",
        "FileSystemConfigs",
        "ImageConfig",
        "SnapStart",
        "LoggingConfig",
        "CapacityProviderConfig",
        "DurableConfig",
        "RuntimeConfig",
        "AcceleratorConfig",
    )
)
"""What is refused where it says something; those of CREATED_WITH CreateFunction alone takes."""
ENVIRONMENT_BYTES: Final = 4_096


def read_configuration(payload: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A function's settings, those of the payload changed. Raises: ApiError."""
    for name in NOT_EMULATED:
        if payload.get(name) not in (None, {}, [], "", False):
            raise invalid_parameter(f"Tailrace does not emulate {name} of functions.")
    changes = {name: payload[name] for name in KEPT if name in payload}
    settings = {**before, **changes}
    if "Environment" in changes:
        del settings["Environment"]
        if variables := _variables(changes["Environment"]):
            settings["Environment"] = {"Variables": variables}
    return settings


def _variables(environment: Mapping[str, Any]) -> dict[str, str]:
    variables: dict[str, str] = environment.get("Variables", {})
    reserved = sorted(RESERVED.intersection(variables))
    unable = (
        "Lambda was unable to configure your environment variables because the environment variables you "
        "have provided"
    )
    if reserved:
        raise invalid_parameter(
            f"{unable} contains reserved keys that are currently not supported for modification. "
            "Reserved keys used in this "
            f"request: {', '.join(reserved)}"
        )
    measured = orjson.dumps(variables)
    if len(measured) > ENVIRONMENT_BYTES:
        raise invalid_parameter(f"{unable} exceeded the 4KB limit. String measured: {measured.decode()}")
    try:
        FunctionSettings.read({"Environment": {"Variables": variables}})
    except SettingsError as error:
        raise invalid_parameter(str(error.args[0])) from error
    return variables


def code_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What can be told of the code that a client sent, which is not run. Raises: ApiError."""
    if payload.get("PackageType", "Zip") == "Zip" and not (payload.get("Runtime") and payload.get("Handler")):
        raise invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    try:
        data = b64decode(payload["Code"].get("ZipFile", ""), validate=True)
    except (TypeError, ValueError) as error:  # characters beyond ASCII are no binascii.Error
        raise ApiError("SerializationException", "ZipFile is no base64 text") from error
    return {"CodeSize": len(data), "CodeSha256": b64encode(hashlib.sha256(data).digest()).decode()}


def document(function: DeployedFunction, region: str, account: str) -> dict[str, Any]:
    """As GetFunctionConfiguration answers it."""
    settings, code = dict(function.configured.settings), function.code.code
    changed = datetime.fromtimestamp(function.configured.modified_ms / 1_000, UTC)
    return {
        "Handler": f"{code.module}.{code.attribute}",
        "CodeSize": 0,
        **settings,
        "FunctionName": function.name,
        "FunctionArn": function_arn(region, account, function.name),
        "LastModified": changed.isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
        "RevisionId": revision(function),
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }


def revision(function: DeployedFunction) -> str:
    """What changes with every change of the configuration."""
    configuration = orjson.dumps([function.name, function.configured.fields()], option=orjson.OPT_SORT_KEYS)
    digits = hashlib.sha256(configuration).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def check_revision(function: DeployedFunction, revision_id: object) -> None:
    """Raises: ApiError when a caller has seen another configuration."""
    if revision_id is not None and revision_id != revision(function):
        raise ApiError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the "
            "latest Revision Id",
            status=412,
        )
