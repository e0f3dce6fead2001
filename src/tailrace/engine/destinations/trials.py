"""Faults of the way into data streams, as AWS has them, in a node that was asked for them: for trials.

Theory of operation: whether a record comes late, or once more, is a hash of the seed and of how many were
asked before, so a trial with one seed and one order of writes is the same again.
Rules of this file: no clock, no chance. Nothing here is on unless `--kinesis-faults` says so. Stands alone
because the way itself (replication.py) knows nothing of why something is late.
"""

from hashlib import blake2b
from typing import Final

from tailrace.engine.settings import KinesisFaults

STEPS: Final = 1 << 32


class TrialWeather:
    """A `Weather` that does to every so many records what was asked for, by a seed."""

    def __init__(self, faults: KinesisFaults) -> None:
        self._faults = faults
        self._asked = 0

    def late_ms(self) -> int:
        """For how long a record is held back; 0: not at all."""
        return self._struck_ms() or 0

    def again_ms(self) -> int | None:
        """After how long a record comes once more; None: it does not."""
        return self._struck_ms()

    def _struck_ms(self) -> int | None:
        """1 to `late_ms`, as often as `rate` says, else None."""
        self._asked += 1
        drawn = blake2b(f"{self._faults.seed}/{self._asked}".encode(), digest_size=8).digest()
        if int.from_bytes(drawn[:4]) >= self._faults.rate * STEPS:
            return None
        return 1 + int.from_bytes(drawn[4:]) * self._faults.late_ms // STEPS
