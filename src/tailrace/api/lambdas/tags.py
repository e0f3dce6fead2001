"""Tags of what has an ARN in Lambda: event source mappings and functions.

Rules of this file: it finds what an ARN names and keeps its tags in its row. Called by api/lambdas. Source: AWS Lambda API Reference, TagResource.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from tailrace.api.lambdas.constraints import Violations, invalid
from tailrace.api.lambdas.functions import Configured
from tailrace.api.lambdas.mappings import NOT_FOUND, EventSourceMapping
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.errors import ApiError

RESOURCE: Final = (
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}(-gov)?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
    r"|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
)


async def tagged(service: LambdaService, arn: str) -> EventSourceMapping | Configured:
    """What an ARN names. Raises: ApiError."""
    violations = Violations()
    violations.fits("resource", arn, RESOURCE)
    violations.refuse()
    *head, kind, name = arn.split(":", 6)
    settings = service.engine.settings
    if head != ["arn", "aws", "lambda", settings.region, settings.account]:
        raise ApiError("ResourceNotFoundException", NOT_FOUND, status=404)
    if kind == "function":
        name, _, qualifier = name.partition(":")
        if qualifier:
            raise invalid(
                "Tags on function aliases and versions are not supported. Please specify either a function or an event source mapping."
            )
        return registered(service, name).configured
    return await service.mapping(name)


async def keep_tags(
    service: LambdaService, found: EventSourceMapping | Configured, tags: Mapping[str, str]
) -> None:
    """Make them durable; what is tagged goes on untouched."""
    await service.keep(replace(found, tags=tags))
