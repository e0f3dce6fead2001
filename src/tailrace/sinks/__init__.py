"""Sinks: where batches, outputs and failure documents go.

Rules of this file: names only, loaded when they are first used; `from tailrace import sinks` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.sinks.aws import AwsAccess
    from tailrace.sinks.destinations import S3, Directory, Sns, Sqs

__all__ = ["S3", "AwsAccess", "Directory", "Sns", "Sqs"]

_PLACES = {
    "AwsAccess": "aws",
    "Directory": "destinations",
    "S3": "destinations",
    "Sns": "destinations",
    "Sqs": "destinations",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tailrace.sinks' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tailrace.sinks.{_PLACES[name]}"), name)
