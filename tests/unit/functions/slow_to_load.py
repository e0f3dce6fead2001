"""A module that takes longer to load than its function may run."""

import select
from typing import Any

select.select([], [], [], 1.2)


def remaining(event: Any, context: Any) -> int:
    """What is left of its second. Units: milliseconds."""
    left: int = context.get_remaining_time_in_millis()
    return left
