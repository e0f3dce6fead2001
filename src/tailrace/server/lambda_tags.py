"""Tags of what has an ARN in Lambda: event source mappings and functions.

Rules of this file: it finds what an ARN names and keeps its tags in its row. Called by operations/lambdas. Source: AWS Lambda API Reference, TagResource.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tailrace.errors import ApiError
from tailrace.ports import StateWrite
from tailrace.server.lambda_constraints import Violations
from tailrace.server.lambda_mappings import NOT_FOUND, EventSourceMapping
from tailrace.server.lambda_service import LambdaService

RESOURCE: Final = (
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}(-gov)?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
    r"|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
)


def tagged(service: LambdaService, arn: str) -> EventSourceMapping:
    """What an ARN names. Raises: ApiError."""
    violations = Violations()
    violations.fits("resource", arn, RESOURCE)
    violations.refuse()
    *head, kind, name = arn.split(":", 6)
    settings = service.engine.settings
    here = head == ["arn", "aws", "lambda", settings.region, settings.account]
    if not here or kind != "event-source-mapping":
        raise ApiError("ResourceNotFoundException", NOT_FOUND, status=404)
    return service.mapping(name)


async def keep_tags(service: LambdaService, mapping: EventSourceMapping, tags: Mapping[str, str]) -> None:
    """Make them durable; the mapping itself goes on untouched."""
    after = replace(mapping, tags=tags)
    service.engine.state_transact([StateWrite(after.key, after.fields())])
    await service.flushed()
