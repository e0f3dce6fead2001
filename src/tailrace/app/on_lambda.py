"""What AWS Lambda calls of an app: `handler = app.lambda_handler`, `redriver = app.lambda_redriver`.

Theory of operation: an app only declares, so what runs it is loaded when it is called, and on Lambda at once:
a function's start is not counted as its time. Who imports the same file elsewhere loads none of it.
Rules of this file: names and loading. Stands alone because app.py has no room; `App` is one of these.
"""

import os
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any, Final

ON_LAMBDA: Final = "AWS_LAMBDA_RUNTIME_API"
"""What Lambda tells every function's process."""


class OnLambda:
    """The entries of an app. Shape: `lambda_state` names the state table, `dynamodb:TABLE`, where
    TAILRACE_STATE does not.
    """

    lambda_state: str | None = None

    @cached_property
    def _lambda_entry(self) -> Any:
        return import_module("tailrace.entry.handler").LambdaEntry(self)

    @cached_property
    def lambda_handler(self) -> Callable[[Any, Any], Any]:
        """Lambda's handler for batches of DynamoDB streams: every handler of the app, with partial batch
        responses (docs/lambda.md). Its name has to stand in a module: `handler = app.lambda_handler`.
        """
        return self._called("handler")

    @cached_property
    def lambda_redriver(self) -> Callable[[Any, Any], Any]:
        """Lambda's handler for a schedule: what is parked and dead goes back to its handlers."""
        return self._called("redriver")

    def _called(self, name: str) -> Callable[[Any, Any], Any]:
        if os.environ.get(ON_LAMBDA):
            _ = self._lambda_entry

        def entry(event: Any, context: Any = None) -> Any:
            return getattr(self._lambda_entry, name)(event, context)

        return entry
