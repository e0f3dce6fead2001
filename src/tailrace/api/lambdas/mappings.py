"""Event source mappings made through Lambda's API: their rows, their documents, and what an update changes.

Rules of this file: values in, values out; what is refused of a setting stands in lambdas/settings.py. A row
is `esm/<uuid>`, format 1, documented in docs/formats/state.md. Called by lambdas/service.py and the
operations.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.api.lambdas.settings import filter_criteria_error, read_settings
from tailrace.errors import invalid_parameter
from tailrace.rows.kinds import EVENT_SOURCE_MAPPING, words_of
from tailrace.rows.writes import VERSION, readable
from tailrace.sinks.lambda_function import function_arn

NOT_FOUND: Final = "The resource you requested does not exist."
UNCHANGED: Final = "User action"
PREFIX: Final = EVENT_SOURCE_MAPPING.prefix()
CREATED_WITH: Final = ("EventSourceArn", "StartingPosition", "StartingPositionTimestamp", "Tags")
"""What CreateEventSourceMapping takes beside the settings and UpdateEventSourceMapping does not."""
NOTHING_YET: Final = "No records processed"
OK: Final = "OK"
PROBLEM_WITH: Final = "PROBLEM: "
PROBLEM: Final = f"{PROBLEM_WITH}Function call failed"


class EventSourceMapping(Struct, frozen=True):
    """One mapping. Shape: `settings` by AWS's names, all of them; `position_ms` with AT_TIMESTAMP
    alone. Units: modified_ms and position_ms since the epoch.
    """

    uuid: str
    function: str
    stream_arn: str
    table: str
    position: str
    enabled: bool
    settings: Mapping[str, Any]
    modified_ms: int
    deleting: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    position_ms: int | None = None

    @property
    def key(self) -> str:
        """Its row."""
        return EVENT_SOURCE_MAPPING.key(self.uuid)

    def fields(self) -> dict[str, Any]:
        """The row's fields."""
        fields = {
            "v": VERSION, "function": self.function, "stream_arn": self.stream_arn, "table": self.table,
            "position": self.position, "enabled": self.enabled, "settings": dict(self.settings),
            "modified_ms": self.modified_ms, "deleting": self.deleting, "tags": dict(self.tags),
        }  # fmt: skip
        return fields if self.position_ms is None else {**fields, "position_ms": self.position_ms}


def read_mapping(key: str, fields: Mapping[str, Any]) -> EventSourceMapping:
    """A mapping of its row. Raises: StoreError."""
    row = dict(readable(fields, "event source mapping"))
    del row["v"]
    return EventSourceMapping(uuid=words_of(key)[1], **row)


def document(
    mapping: EventSourceMapping, state: str, result: str, region: str, account: str
) -> dict[str, Any]:
    """The configuration that Lambda answers. Source: semantics §2.1."""
    settings = dict(mapping.settings)
    if error := filter_criteria_error(settings):
        del settings["FilterCriteria"]
        settings["FilterCriteriaError"] = error
    return {
        "UUID": mapping.uuid,
        "EventSourceArn": mapping.stream_arn,
        "EventSourceMappingArn": mapping_arn(mapping.uuid, region, account),
        "FunctionArn": function_arn(region, account, mapping.function),
        "LastModified": mapping.modified_ms / 1_000,
        "LastProcessingResult": result,
        "StartingPosition": mapping.position,
        **_timestamp(mapping),
        "State": state,
        "StateTransitionReason": UNCHANGED,
        **settings,
    }


def _timestamp(mapping: EventSourceMapping) -> dict[str, float]:
    ms = mapping.position_ms
    return {} if ms is None else {"StartingPositionTimestamp": ms / 1_000}


def mapping_arn(uuid: str, region: str, account: str) -> str:
    """What tags hang on, as AWS writes it."""
    return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"


def refuse_settled(payload: Mapping[str, Any]) -> None:
    """Raises: ApiError for a member that only a new mapping is given."""
    for name in CREATED_WITH:
        if name in payload:
            raise invalid_parameter(
                f"{name} of an event source mapping cannot be changed: make a new mapping."
            )


def changed(
    mapping: EventSourceMapping, function: str, payload: Mapping[str, Any], now_ms: int
) -> EventSourceMapping:
    """The mapping after UpdateEventSourceMapping. Raises: ApiError."""
    return replace(
        mapping,
        function=function,
        enabled=payload.get("Enabled", mapping.enabled),
        settings=read_settings(payload, mapping.settings, mapping.stream_arn),
        modified_ms=now_ms,
    )
