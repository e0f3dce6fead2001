"""Destinations as clients see them: enabled, disabled, updated, described.

Rules of this file: the present status is computed from the clock; without `aws_delays` a status that passes
is over at once, and only the answer says it. Called by the files of `api.dynamodb`. Source: semantics §5.5.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.engine.catalog import TableState
from tailrace.engine.destinations import states
from tailrace.engine.destinations.destinations import Destinations
from tailrace.engine.destinations.documents import DestinationDocument
from tailrace.engine.destinations.states import PRECISION
from tailrace.engine.lifecycle import Lifecycle

Configuration = Mapping[str, Any] | None


class DestinationDoor:
    """The destinations of the tables of one namespace. Shape: `deliveries` are those of all."""

    def __init__(self, destinations: Destinations, lifecycle: Lifecycle) -> None:
        self.deliveries = self._all = destinations
        self._lifecycle = lifecycle

    def enable(self, name: str, arn: str, configuration: Configuration) -> dict[str, Any]:
        """EnableKinesisStreamingDestination. Returns: AWS's answer, status ENABLING. Raises: ApiError."""
        table = self._lifecycle.idle(name)
        states.check_enable(state.document for state in self._all.of_table(table))
        before = self._named(table, arn)
        wall_ms = self._all.wall_ms
        fresh = DestinationDocument(
            table.key, table.number, arn, self._all.log_number() if before is None else before.log, wall_ms
        )
        precision = None if configuration is None else configuration.get(PRECISION)
        document = states.enabled(fresh, before, precision, self._all.until_ms(states.ENABLING_MS))
        self._save(document)
        told = {} if precision is None else {PRECISION: precision}
        return {**_answer(table, document), "EnableKinesisStreamingConfiguration": told}

    def disable(self, name: str, arn: str, configuration: Configuration) -> dict[str, Any]:
        """DisableKinesisStreamingDestination. What was written before it is still delivered.

        Returns: AWS's answer, status DISABLING. Raises: ApiError.
        """
        states.require_no_configuration(configuration)
        table = self._lifecycle.named(name)
        until_ms = self._all.until_ms(states.DISABLING_MS)
        document = states.disabled(self._named(table, arn), until_ms)
        self._save(document)
        return _answer(table, document)

    def update(self, name: str, arn: str, configuration: Configuration) -> dict[str, Any]:
        """UpdateKinesisStreamingDestination. Returns: AWS's answer, status UPDATING. Raises: ApiError."""
        precision = states.wanted_precision(configuration)
        table = self._lifecycle.named(name)
        told = states.NamedTable(table.schema.name, table.document.table_id)
        until_ms = self._all.until_ms(states.UPDATING_MS)
        document = states.updated(self._named(table, arn), arn, told, precision, until_ms)
        self._save(document)
        return {**_answer(table, document), "UpdateKinesisStreamingConfiguration": {PRECISION: precision}}

    def describe(self, name: str) -> dict[str, Any]:
        """DescribeKinesisStreamingDestination. Raises: ApiError."""
        table = self._lifecycle.named(name)
        return {
            "TableName": table.schema.name,
            "KinesisDataStreamDestinations": [
                described(state.document) for state in self._all.of_table(table)
            ],
        }

    def _named(self, table: TableState, arn: str) -> DestinationDocument | None:
        present = (state.document for state in self._all.of_table(table))
        return next((document for document in present if document.stream_arn == arn), None)

    def _save(self, document: DestinationDocument) -> None:
        self._all.save(document)


def described(document: DestinationDocument) -> dict[str, Any]:
    """A destination as clients see it."""
    answer: dict[str, Any] = {"StreamArn": document.stream_arn, "DestinationStatus": document.status}
    if document.description is not None:
        answer["DestinationStatusDescription"] = document.description
    if document.precision is not None:
        answer[PRECISION] = document.precision
    return answer


def _answer(table: TableState, document: DestinationDocument) -> dict[str, Any]:
    return {
        "TableName": table.schema.name, "StreamArn": document.stream_arn, "DestinationStatus": document.status
    }  # fmt: skip
