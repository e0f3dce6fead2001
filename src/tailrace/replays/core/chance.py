"""Time and chance of one change: the same in every run and every revision, and others for other changes.

Rules of this file: pure; nothing of a run enters, so two runs over one change draw the same.
"""

from hashlib import sha256

from tailrace.streams.version import Version


def seed_of(table: str, key: bytes, version: Version) -> bytes:
    """What the chance of a change is drawn from: 32 bytes."""
    name = table.encode()
    return sha256(b"replay\x00" + len(name).to_bytes(4, "big") + name + version.packed + key).digest()


class Chance:
    """Bytes as if by chance, one after the other.

    >>> Chance(b"seed").take(4) == Chance(b"seed").take(4), len(Chance(b"seed").take(100))
    (True, 100)
    """

    __slots__ = ("_number", "_rest", "seed")

    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._number = 0
        self._rest = b""

    def take(self, size: int) -> bytes:
        """The next bytes."""
        while len(self._rest) < size:
            self._rest += sha256(self.seed + self._number.to_bytes(8, "big")).digest()
            self._number += 1
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
