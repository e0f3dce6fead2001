"""A recorded write of `change.transaction` becomes an operation.

Rules of this file: the port's shape here, the reading in tables/actions.py. Called by `engine.engine`.
"""

from tailrace.ports import ItemWrite
from tailrace.tables.actions import read_parameters
from tailrace.tables.mutate import Operation


def read_write(write: ItemWrite) -> Operation:
    """One recorded write. Raises: ApiError."""
    return read_parameters(write.action, write.parameters)
