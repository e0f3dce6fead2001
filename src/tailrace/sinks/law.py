"""The law of sinks: which changes of a batch are applied and which rows they make.

Theory of operation: a row is (key, version of the last change applied, deleted, columns). A change is applied
if its version is larger; a delete keeps key, version and deleted until nothing older can come. So of a batch
only the newest change of each key matters, and whatever is repeated, late or out of order changes nothing.
Rules of this file: pure. Every sink asks it, users' own too; what it decides is checked by
`check_versioned_sink` and `check_mirror_sink`. What a target commits that owns the checkpoint is decided in
runtime/owned_positions.py. Source: growth §4, ADR 64.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version


def applies(version: Version, there: Version | None) -> bool:
    """Whether a change with this version replaces a row that has that one; None: there is no row.

    >>> applies(Version(1, 7), None), applies(Version(1, 7), Version(0, 900))
    (True, True)
    >>> applies(Version(1, 7), Version(1, 7))
    False
    """
    return there is None or version > there


def newest(records: Sequence[ChangeRecord]) -> list[int]:
    """The places of the changes that matter: of each key the one with the largest version, in the order of
    the keys, so that two writers who lock rows never wait for one another in a circle.

    Guarantee: of two with one version, which are the same change, the first.
    """
    keys = [record.key for record in records]
    if len(set(keys)) == len(keys):
        return sorted(range(len(keys)), key=keys.__getitem__)
    places: dict[bytes, int] = {}
    for place, record in enumerate(records):
        there = places.get(record.key)
        if there is None or record.version > records[there].version:
            places[record.key] = place
    return [places[key] for key in sorted(places)]


def tombstone(record: ChangeRecord) -> ChangeRecord:
    """The change as a deletion of its item's row: that of an item which has left what a sink wants."""
    return record if record.event_name == "REMOVE" else replace(record, event_name="REMOVE", new=None)
