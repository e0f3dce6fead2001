"""The law of sinks: which changes of a batch are applied and which rows they make, and what a target commits
that owns the checkpoint.

Theory of operation: a row is (key, version of the last change applied, deleted, columns). A change is applied
if its version is larger; a delete keeps key, version and deleted until nothing older can come. So of a batch
only the newest change of each key matters, and whatever is repeated, late or out of order changes nothing.
A commit continues what its worker knows to be there. A target that has less was restored meanwhile, maybe
under this very epoch: its position would close a hole in silence. So it is refused as a lost lease is, and
whoever takes the shard anew believes the target. One that has as much as the commit's own watermark has seen
that commit before; one in between has seen a part of it.
Rules of this file: pure. Every sink asks it, users' own too; what it decides is checked by
`check_versioned_sink`, `check_mirror_sink` and `check_transactional_sink`. Source: growth §4, ADRs 64, 68.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.errors import LeaseLost
from tailrace.ports import TargetPosition
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


# ---- what owns the checkpoint ------------------------------------------------------------------------------


def held(there: TargetPosition | None, position: TargetPosition) -> TargetPosition:
    """What a target has of a shard whose position is to be written. Raises: LeaseLost when that is under
    another epoch.
    """
    if there is None or there.epoch != position.epoch:
        epoch = "no epoch" if there is None else f"epoch {there.epoch}"
        raise LeaseLost(f"{position.shard_id} has {epoch} in the target, this is {position.epoch}")
    return there


def is_committed(there: TargetPosition | None, position: TargetPosition) -> bool:
    """Whether a target has what is to be committed: then nothing is written. Raises: LeaseLost when it has
    the shard under another epoch, or less of it than its worker knows.

    >>> is_committed(TargetPosition("s", "a", 1, 7), TargetPosition("s", "a", 1, 9, after=7))
    False
    >>> is_committed(TargetPosition("s", "a", 1, 9), TargetPosition("s", "a", 1, 9, after=7))
    True
    """
    through = held(there, position).watermark
    if through >= position.watermark:
        return True
    if through < position.after:
        raise LeaseLost(
            f"{position.shard_id} stands at {through} in the target, which had {position.after}: it was "
            "emptied or restored, and goes on from there"
        )
    return False
