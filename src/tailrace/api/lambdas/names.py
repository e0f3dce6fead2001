"""Functions by their names and ARNs, and their configuration as Lambda describes it.

Rules of this file: values in, values out. Called by api/lambdas. Source: AWS Lambda API Reference,
FunctionName.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from tailrace.api.lambdas.configuration import document
from tailrace.api.lambdas.functions import DeployedFunction
from tailrace.api.lambdas.service import LambdaService
from tailrace.errors import ApiError
from tailrace.sinks.lambda_function import function_arn

NAME: Final = re.compile(
    r"(?:arn:aws:lambda:[^:]+:)?(?:[0-9]{12}:)?(?:function:)?([A-Za-z0-9_-]+)(?::\$LATEST)?"
)


def function_name(text: str) -> str:
    """The name in a name, an ARN or a partial ARN; the text itself when it is none.

    >>> function_name("arn:aws:lambda:us-east-1:000000000000:function:tally")
    'tally'
    """
    match = NAME.fullmatch(text)
    return text if match is None else match[1]


def registered(
    service: LambdaService, function_name_or_arn: str, qualifier: str | None = None
) -> DeployedFunction:
    """A function by its name or ARN, and by a qualifier that is none but $LATEST. Raises: ApiError."""
    name = function_name(function_name_or_arn)
    if name in service.functions and qualifier in (None, "", "$LATEST"):
        return service.functions[name]
    settings = service.engine.settings
    arn = function_arn(settings.region, settings.account, name if not qualifier else f"{name}:{qualifier}")
    raise ApiError("ResourceNotFoundException", f"Function not found: {arn}", status=404)


def configuration(service: LambdaService, function: DeployedFunction) -> dict[str, Any]:
    """Its document in the namespace that Lambda's API has here: the default one."""
    return document(function, service.engine.settings.region, service.engine.settings.account)


def page_size(payload: Mapping[str, Any], most: int) -> int:
    """How many a page shows."""
    return min(int(payload.get("MaxItems", most)), most)
