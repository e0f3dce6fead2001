"""An engine that owns its data directory: opened with its lock and its store, closed with both.

Rules of this file: what is opened is given back, also when a later part fails to open. Called by compose.
"""

import asyncio
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import Clock
from tailrace.stores.directory import DataDirectory
from tailrace.stores.sqlite import SqliteStore
from tailrace.telemetry import PointReached

DEFAULTS: Final = EngineSettings()


class EngineOptions(Struct, frozen=True):
    """How an engine is opened. Shape: no directory means in memory; no choice of `checksums`: as the last
    node had them. Units: clock_start_ms since the epoch.
    """

    directory: Path | None = None
    sync: Literal["normal", "full"] = "normal"
    checksums: bool | None = True
    clock: Literal["system", "manual"] = "system"
    clock_start_ms: int | None = None
    settings: EngineSettings = DEFAULTS


class OpenEngine(Engine):
    """An engine that owns its data directory: closing it gives the lock back."""

    def __init__(self, options: EngineOptions, clock: Clock, reached: PointReached) -> None:
        self.directory = None
        if options.directory is not None:
            self.directory = DataDirectory(options.directory)
        path = None if self.directory is None else self.directory.database
        try:
            self._store = SqliteStore(path, sync=options.sync, checksums=options.checksums, reached=reached)
            super().__init__(self._store, clock, options.settings, reached)
            self.committer.pressure_s = self._store.pressure_s
            self.committer.read_apart = self._store.read_apart if self._store.can_read_apart else None
        except BaseException:  # whatever it was, what is open is given back before it goes on
            self._give_back()
            raise

    def share_reads(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the reads of one turn of this loop share a transaction of the store."""
        self._store.share_reads(loop.call_soon)

    def close(self) -> None:
        """Make the last group durable, give the store and the directory back. Repeatable."""
        try:
            super().close()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        if self.directory is not None:
            self.directory.close()
