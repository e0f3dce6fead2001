"""Sinks: where batches, outputs and failure documents go.

`app.sink(orders, sinks.Sqs(…))`, `on_failure=Discard(to=sinks.S3(…))`.

    Sqs, Sns, EventBridge, DynamoDB   AWS's services; `access=AwsAccess(…)` says where and as who; extra `aws`
    PostgreSQL                        tables of a database; extra `postgres`
    Redshift, RedshiftDataApi         tables of a warehouse, staged in S3; extra `redshift`
    DuckDB                            a table of a file that `tailrace sql` asks; extra `duckdb`
    OpenSearch, Elasticsearch         an index that readers search; extra `search`
    ParquetLake, ParquetLog           Parquet files of a directory or a bucket; extra `lake`
    Webhook                           an address that is posted to, signed; extra `webhook`
    Function                          a function of yours, called with each value
    S3, Directory                     places for what is given up: objects, files

Rules of this file: names only, loaded when they are first used; `from tailrace import sinks` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.sinks.aws import AwsAccess
    from tailrace.sinks.called import Function
    from tailrace.sinks.destinations import S3, Directory, Sns, Sqs
    from tailrace.sinks.duckdb_table import DuckDB
    from tailrace.sinks.dynamodb_table import DynamoDB
    from tailrace.sinks.event_bridge import EventBridge
    from tailrace.sinks.lake.sink import ParquetLake, ParquetLog
    from tailrace.sinks.postgresql_table import PostgreSQL
    from tailrace.sinks.redshift.data_api import RedshiftDataApi
    from tailrace.sinks.redshift.sink import Redshift
    from tailrace.sinks.search.sink import Elasticsearch, OpenSearch
    from tailrace.sinks.webhook import Webhook

__all__ = [
    "S3",
    "AwsAccess",
    "Directory",
    "DuckDB",
    "DynamoDB",
    "Elasticsearch",
    "EventBridge",
    "Function",
    "OpenSearch",
    "ParquetLake",
    "ParquetLog",
    "PostgreSQL",
    "Redshift",
    "RedshiftDataApi",
    "Sns",
    "Sqs",
    "Webhook",
]

_PLACES = {
    "AwsAccess": "aws",
    "DuckDB": "duckdb_table",
    "DynamoDB": "dynamodb_table",
    "EventBridge": "event_bridge",
    "Function": "called",
    **dict.fromkeys(("ParquetLake", "ParquetLog"), "lake.sink"),
    "PostgreSQL": "postgresql_table",
    "Redshift": "redshift.sink",
    "RedshiftDataApi": "redshift.data_api",
    "Webhook": "webhook",
    **dict.fromkeys(("Elasticsearch", "OpenSearch"), "search.sink"),
    **dict.fromkeys(("Directory", "S3", "Sns", "Sqs"), "destinations"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tailrace.sinks' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tailrace.sinks.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
