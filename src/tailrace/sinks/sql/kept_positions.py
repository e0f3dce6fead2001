"""Positions of a target that a test world stands in for: they are kept where nothing is sent.

Stands alone because a sink with a server asks it instead of the server. Rules of this file: as
`ports.Transactional` says; one history a clock, so that the next world begins anew.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.errors import LeaseLost
from tailrace.ports import TargetPosition
from tailrace.runtime.owned_positions import held, is_committed


class KeptPositions:
    """Positions of one world, by mapping, stream and shard."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, str, str], TargetPosition] = {}

    def of(self, mapping_id: str) -> Sequence[TargetPosition]:
        """Those of a mapping."""
        return [position for (mapping, _, _), position in self._there.items() if mapping == mapping_id]

    def stamp(self, mapping_id: str, wanted: TargetPosition) -> TargetPosition:
        """Raise the epoch. Raises: LeaseLost."""
        there = self._there.get((mapping_id, wanted.stream, wanted.shard_id), wanted)
        if there.epoch > wanted.epoch:
            raise LeaseLost(f"{wanted.shard_id} was taken under epoch {there.epoch}, this is {wanted.epoch}")
        stamped = TargetPosition(wanted.stream, wanted.shard_id, wanted.epoch, there.watermark)
        self._there[mapping_id, wanted.stream, wanted.shard_id] = stamped
        return stamped

    def has(self, mapping_id: str, position: TargetPosition) -> bool:
        """Whether what is to be committed is there. Raises: LeaseLost, as the law says."""
        return is_committed(self._there.get((mapping_id, position.stream, position.shard_id)), position)

    def put(self, mapping_id: str, position: TargetPosition) -> None:
        """Write it as told. Raises: LeaseLost."""
        place = (mapping_id, position.stream, position.shard_id)
        there = held(self._there.get(place), position)
        self._there[place] = replace(there, watermark=position.watermark)
