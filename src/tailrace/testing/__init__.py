"""Public tools for tests: the world, the seeded loop, contract checks, simulation.

Rules of this file: names only, loaded when they are first used: pytest imports this package in every run.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.testing.contracts import (
        ContractBroken,
        check_archive_store,
        check_clock,
        check_log_reader,
        check_mirror_sink,
        check_projection_store,
        check_sink,
        check_source,
        check_state_store,
        check_store,
        check_table_items,
        check_transactional_sink,
        check_versioned_sink,
    )
    from tailrace.testing.exploring import BrokenOrder, Exploration
    from tailrace.testing.keeping import Sent
    from tailrace.testing.looking import NotLookedAt
    from tailrace.testing.loop import SeededLoop
    from tailrace.testing.scripted import ScriptedSource
    from tailrace.testing.scripted_items import ScriptedItems
    from tailrace.testing.sealing import NetworkRefused
    from tailrace.testing.simulation import simulate
    from tailrace.testing.waiting import BlockingCall
    from tailrace.testing.world import Unsettled, World

__all__ = [
    "BlockingCall",
    "BrokenOrder",
    "ContractBroken",
    "Exploration",
    "NetworkRefused",
    "NotLookedAt",
    "ScriptedItems",
    "ScriptedSource",
    "SeededLoop",
    "Sent",
    "Unsettled",
    "World",
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
    "simulate",
]

_PLACES = {
    "BlockingCall": "waiting",
    "BrokenOrder": "exploring",
    "Exploration": "exploring",
    "NetworkRefused": "sealing",
    "NotLookedAt": "looking",
    "ScriptedItems": "scripted_items",
    "ScriptedSource": "scripted",
    "SeededLoop": "loop",
    "Sent": "keeping",
    "Unsettled": "world",
    "World": "world",
    "simulate": "simulation",
    "ContractBroken": "contracts",
    "check_clock": "contracts",
    "check_projection_store": "contracts",
    "check_sink": "contracts",
    "check_source": "contracts",
    "check_log_reader": "contracts",
    "check_mirror_sink": "contracts",
    "check_archive_store": "contracts",
    "check_state_store": "contracts",
    "check_store": "contracts",
    "check_table_items": "contracts",
    "check_transactional_sink": "contracts",
    "check_versioned_sink": "contracts",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'tailrace.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tailrace.testing.{_PLACES[name]}"), name)
