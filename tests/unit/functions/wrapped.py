"""Functions under names that they do not say of themselves: behind decorators with and without `wraps`, and
as an object.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

Handler = Callable[[Any, Any], Any]


def middleware(handler: Handler) -> Handler:
    """As Powertools and tracers write theirs."""

    @wraps(handler)
    def wrapper(event: Any, context: Any) -> Any:
        return {"through": "middleware", "said": handler(event, context)}

    return wrapper


def careless(handler: Handler) -> Handler:
    """A decorator that forgets `wraps`."""

    def wrapper(event: Any, context: Any) -> Any:
        return {"through": "careless", "said": handler(event, context)}

    return wrapper


def _handler(event: Any, context: Any) -> str:
    return "bare"


class Service:
    """A callable object, with a function of its own."""

    def __call__(self, event: Any, context: Any) -> Any:
        return {"through": "object", "said": self.tally(event, context)}

    def tally(self, event: Any, context: Any) -> str:
        """A method as a function."""
        return "bare"


lambda_handler = middleware(_handler)
other_handler = careless(_handler)
service = Service()
