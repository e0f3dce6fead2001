"""The settings of an event source mapping in Lambda's API: which there are, and which are refused.

Rules of this file: values in, values out; a setting that AWS has for other sources is refused as AWS refuses
it, an unknown one is refused too, so that no setting is ignored in silence. Called by
lambdas/mappings.py. Source: semantics §2.1, §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.app.destination_config import destination_arn
from tailrace.errors import SettingsError, invalid_parameter
from tailrace.mapping.filters import INVALID, check_data_filters, read_filter_criteria
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.kinesis.names import is_data_stream

DEFAULTS: Final[Mapping[str, Any]] = {
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
}
OPTIONAL: Final = ("FilterCriteria", "KMSKeyArn", "MetricsConfig")
"""What the configuration shows only when it is set."""
SETTINGS: Final = (*DEFAULTS, *OPTIONAL)
OTHER_SOURCES: Final = (
    "AmazonManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "LoggingConfig",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "Topics",
)
"""For SQS, Kafka, MQ and DocumentDB."""
UPDATED_OTHER_SOURCES: Final = tuple(
    name for name in OTHER_SOURCES if name not in ("Queues", "SelfManagedEventSource", "Topics")
)
"""Those of them that UpdateEventSourceMapping takes."""
OURS: Final = frozenset(SETTINGS) - {
    "DestinationConfig",
    "KMSKeyArn",
    "MetricsConfig",
}
"""What the machine itself knows."""


def read_settings(
    payload: Mapping[str, Any], before: Mapping[str, Any] = DEFAULTS, source_arn: str = ""
) -> dict[str, Any]:
    """Every setting of a mapping, those of the payload changed; null changes nothing.

    Shape:   `source_arn` is what the mapping reads: of a data stream filters ask other things.
    Raises:  ApiError, in AWS's words where they are known.
    """
    changes = {name: payload[name] for name in SETTINGS if payload.get(name) is not None}
    for name in OTHER_SOURCES:
        if payload.get(name) is not None:
            raise invalid_parameter(f"Unsupported {name} parameter for given event source mapping type.")
    settings = {**before, **changes}
    if "DestinationConfig" in changes:
        settings["DestinationConfig"] = {"OnFailure": _destination(changes["DestinationConfig"])}
    for name, is_empty in (
        ("FilterCriteria", not settings.get("FilterCriteria", {}).get("Filters")),
        ("MetricsConfig", not settings.get("MetricsConfig", {}).get("Metrics")),
        ("KMSKeyArn", not settings.get("KMSKeyArn")),
    ):
        if is_empty:
            settings.pop(name, None)
    _check_whole(settings, source_arn)
    return settings


def _destination(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The OnFailure of a DestinationConfig; OnSuccess is taken and forgotten, and an empty text is none."""
    return {name: value for name, value in config.get("OnFailure", {}).items() if value != ""}


def _check_whole(settings: Mapping[str, Any], source_arn: str) -> None:
    """What is refused of settings that are each allowed by themselves."""
    if refused := [
        metric for metric in settings.get("MetricsConfig", {}).get("Metrics", ()) if metric != "EventCount"
    ]:
        raise invalid_parameter(
            f"MetricsConfig: {refused[0]} is not allowed; of a stream there is EventCount"
        )
    try:
        destination_arn(settings["DestinationConfig"])
        checked = MappingSettings.for_lambda("checked", **for_machine(settings))
        if is_data_stream(source_arn):
            check_data_filters(checked.filters)
    except SettingsError as error:
        problem = str(error.args[0])
        raise invalid_parameter(INVALID if INVALID in problem else problem) from error


def for_machine(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the machine knows."""
    return {name: value for name, value in settings.items() if name in OURS}


def filter_criteria_error(settings: Mapping[str, Any]) -> dict[str, str] | None:
    """Why the filter criteria of a row cannot be used; None when they can. Shape: AWS's
    FilterCriteriaError.
    """
    try:
        read_filter_criteria(settings.get("FilterCriteria"))
    except SettingsError as error:
        return {"ErrorCode": "InvalidParameterValueException", "Message": str(error.args[0])}
    return None
