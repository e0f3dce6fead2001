"""Tags of what has an ARN in Lambda: event source mappings and functions.

Rules of this file: it finds what an ARN names and keeps its tags in its row. Called by api/lambdas. Source:
AWS Lambda API Reference, TagResource.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from tailrace.api.lambdas.functions import Configured
from tailrace.api.lambdas.mappings import NOT_FOUND, EventSourceMapping
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.errors import ApiError, invalid_parameter

MOST_TAGS: Final = 50
LONGEST_TAG_KEY: Final = 128
LONGEST_TAG_VALUE: Final = 256
"""Source: Lambda Developer Guide, "Tag naming requirements"."""


async def tagged(service: LambdaService, arn: str) -> EventSourceMapping | Configured:
    """What an ARN names. Raises: ApiError."""
    *head, kind, name = arn.split(":", 6)
    settings = service.engine.settings
    if head != ["arn", "aws", "lambda", settings.region, settings.account]:
        raise ApiError("ResourceNotFoundException", NOT_FOUND, status=404)
    if kind == "function":
        name, _, qualifier = name.partition(":")
        if qualifier:
            raise invalid_parameter(
                "Tags on function aliases and versions are not supported. Please specify either a "
                "function or an event source mapping."
            )
        return registered(service, name).configured
    return await service.mapping(name)


async def keep_tags(
    service: LambdaService, resource: EventSourceMapping | Configured, tags: Mapping[str, str]
) -> None:
    """Make them durable; what is tagged goes on untouched."""
    await service.keep(replace(resource, tags=tags))


def checked_tags(added: Mapping[str, str], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tags, those of before with these. Raises: ApiError."""
    for key, value in added.items():
        if not 1 <= len(key) <= LONGEST_TAG_KEY or len(value) > LONGEST_TAG_VALUE:
            raise invalid_parameter(
                f"Tags: {key!r} is not allowed; a key has 1 to {LONGEST_TAG_KEY} characters, a value "
                f"at most {LONGEST_TAG_VALUE}"
            )
        if key.lower().startswith("aws:"):
            raise invalid_parameter(
                f"Tags: {key!r} is not allowed; AWS keeps keys that begin with aws: for itself"
            )
    tags = {**(before or {}), **added}
    if len(tags) > MOST_TAGS:
        raise invalid_parameter(f"Tags: {len(tags)} tags are too many; at most {MOST_TAGS} are allowed")
    return tags
