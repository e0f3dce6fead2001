"""Event source mappings made through Lambda's API: their rows, their documents, and what of their settings is refused.

Rules of this file: values in, values out; texts verbatim as AWS's where semantics §2.2 has them. A row is `esm/<uuid>`, format 1, documented in
docs/formats/state.md. Called by lambda_service.py and the operations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tailrace.app.destination_config import destination_arn
from tailrace.errors import ApiError, SettingsError
from tailrace.leases.rows import VERSION, readable
from tailrace.mapping.filters import INVALID
from tailrace.mapping.settings import MappingSettings
from tailrace.sinks.lambda_function import function_arn

DEFAULTS: Final[Mapping[str, Any]] = {
    "BatchSize": 100, "BisectBatchOnFunctionError": False, "DestinationConfig": {"OnFailure": {}}, "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0, "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1, "TumblingWindowInSeconds": 0,
}  # fmt: skip
RANGES: Final = {
    "BatchSize": (1, 10_000), "MaximumBatchingWindowInSeconds": (0, 300), "MaximumRecordAgeInSeconds": (-1, 604_800),
    "MaximumRetryAttempts": (-1, 10_000), "ParallelizationFactor": (1, 10), "TumblingWindowInSeconds": (0, 900),
}  # fmt: skip
SETTINGS: Final = (*DEFAULTS, "FilterCriteria")
FIXED: Final = ("EventSourceArn", "FunctionName", "Enabled", "StartingPosition", "StartingPositionTimestamp")
NOT_FOUND: Final = "The resource you requested does not exist."
UNCHANGED: Final = "User action"
PREFIX: Final = "esm/"


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """One mapping. Shape: `settings` by AWS's names, all of them. Units: modified_ms since the epoch."""

    uuid: str
    function: str
    stream_arn: str
    table: str
    position: str
    enabled: bool
    settings: Mapping[str, Any]
    modified_ms: int
    deleting: bool = False

    @property
    def key(self) -> str:
        """Its row."""
        return PREFIX + self.uuid

    def fields(self) -> dict[str, Any]:
        """The row's fields."""
        return {
            "v": VERSION, "function": self.function, "stream_arn": self.stream_arn, "table": self.table,
            "position": self.position, "enabled": self.enabled, "settings": dict(self.settings),
            "modified_ms": self.modified_ms, "deleting": self.deleting,
        }  # fmt: skip


def read_mapping(key: str, fields: Mapping[str, Any]) -> EventSourceMapping:
    """A mapping of its row. Raises: StoreError."""
    row = dict(readable(fields, "event source mapping"))
    del row["v"]
    return EventSourceMapping(uuid=key.removeprefix(PREFIX), **row)


def document(mapping: EventSourceMapping, state: str, region: str, account: str) -> dict[str, Any]:
    """The configuration that Lambda answers. Source: semantics §2.1."""
    settings = {name: value for name, value in mapping.settings.items() if value is not None}
    return {
        "UUID": mapping.uuid,
        "EventSourceArn": mapping.stream_arn,
        "EventSourceMappingArn": f"arn:aws:lambda:{region}:{account}:event-source-mapping:{mapping.uuid}",
        "FunctionArn": function_arn(region, account, mapping.function),
        "LastModified": mapping.modified_ms / 1_000,
        "LastProcessingResult": "No records processed",
        "StartingPosition": mapping.position,
        "State": state,
        "StateTransitionReason": UNCHANGED,
        **settings,
    }


def read_settings(payload: Mapping[str, Any], before: Mapping[str, Any] = DEFAULTS) -> dict[str, Any]:
    """Every setting of a mapping, those of the payload changed.

    Raises:  ApiError, in AWS's words where they are known.
    """
    for name in payload:
        if name not in (*SETTINGS, *FIXED, "UUID") and payload[name] not in (None, {}, []):
            raise invalid(f"Tailrace does not emulate {name} of event source mappings.")
    given = {name: payload[name] for name in SETTINGS if payload.get(name) is not None}
    for name, (lowest, highest) in RANGES.items():
        if name in given:
            _check_range(name, given[name], lowest, highest)
    if given.get("TumblingWindowInSeconds"):
        raise invalid("Tailrace does not emulate TumblingWindowInSeconds of event source mappings.")
    settings = {**before, **given}
    if not settings.get("FilterCriteria", {}).get("Filters"):
        settings.pop("FilterCriteria", None)
    _check_whole(settings)
    return settings


def _check_range(name: str, value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError("SerializationException", f"{name} is no whole number")
    if lowest <= value <= highest:
        return
    bound = f"greater than or equal to {lowest}" if value < lowest else f"less than or equal to {highest}"
    place = name[0].lower() + name[1:]
    raise ApiError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: "
        f"Member must have value {bound}",
    )


def _check_whole(settings: Mapping[str, Any]) -> None:
    try:
        destination_arn(settings["DestinationConfig"])
        MappingSettings.for_lambda("checked", **for_machine(settings))
    except SettingsError as error:
        text = str(error.args[0])
        raise invalid(INVALID if INVALID in text else text) from error


def for_machine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the machine knows."""
    return {
        name: value
        for name, value in settings.items()
        if name not in ("DestinationConfig", "TumblingWindowInSeconds")
    }


def invalid(message: str) -> ApiError:
    """An InvalidParameterValueException."""
    return ApiError("InvalidParameterValueException", message)


def changed(mapping: EventSourceMapping, payload: Mapping[str, Any], now_ms: int) -> EventSourceMapping:
    """The mapping after UpdateEventSourceMapping. Raises: ApiError."""
    enabled = payload.get("Enabled")
    return replace(
        mapping,
        enabled=mapping.enabled if enabled is None else bool(enabled),
        settings=read_settings(payload, mapping.settings),
        modified_ms=now_ms,
    )
