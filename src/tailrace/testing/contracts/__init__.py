"""Contract checks: what every adapter of a port must do, as functions to be called on one's own adapter.

Rules of this package: a check states its port's contract from `ports` alone, looks only at what the port
shows, and makes a new adapter for every rule. It raises `ContractBroken`, which names the rule. Called by
tests/contracts and by users.
"""

from tailrace.testing.contracts.archive import check_archive_store
from tailrace.testing.contracts.clock import check_clock
from tailrace.testing.contracts.log_reader import check_log_reader
from tailrace.testing.contracts.mirror import check_mirror_sink
from tailrace.testing.contracts.projection import check_projection_store
from tailrace.testing.contracts.rules import ContractBroken
from tailrace.testing.contracts.sink import check_sink
from tailrace.testing.contracts.source import check_source
from tailrace.testing.contracts.state import check_state_store
from tailrace.testing.contracts.store import check_store
from tailrace.testing.contracts.table_items import check_table_items
from tailrace.testing.contracts.transactional import check_transactional_sink
from tailrace.testing.contracts.versioned import check_versioned_sink

__all__ = [
    "ContractBroken",
    "check_archive_store",
    "check_clock",
    "check_log_reader",
    "check_mirror_sink",
    "check_projection_store",
    "check_sink",
    "check_source",
    "check_state_store",
    "check_store",
    "check_table_items",
    "check_transactional_sink",
    "check_versioned_sink",
]
