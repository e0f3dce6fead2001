"""What a replay comes to, as it is told to who asked for it.

Stands alone because programs, the command line and both kinds of replays make or read it. Rules of this file:
pure values.
"""

from msgspec import Struct

from tailrace.replays.core.differences import EffectComparison, EffectGroup
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange, ReplayEffect


class ReplayReport(Struct, frozen=True):
    """A replay that is over.

    Shape:   `run_id` is what `change.replay_id` said. `changes` are those for which something was done, of a
             dry run, or its windows; `notes` say what the journal does not know of the time that was asked
             for. `comparison` is there where two revisions were compared.
    """

    run_id: str
    counts: ReplayCounts
    notes: tuple[str, ...] = ()
    changes: tuple[ReplayedChange, ...] = ()
    comparison: EffectComparison | None = None

    @property
    def effects(self) -> list[ReplayEffect]:
        """All effects, in order."""
        return [effect for change in self.changes for effect in change.effects]

    @property
    def unknown(self) -> dict[str, int]:
        """Calls that nothing has answered, each with the number of changes that are unknown after it."""
        if self.comparison is not None:
            return dict(self.comparison.unknown)
        calls: dict[str, int] = {}
        for change in self.changes:
            if change.unknown:
                calls[change.unknown] = calls.get(change.unknown, 0) + 1
        return calls

    @property
    def differences(self) -> list[EffectGroup]:
        """In what two revisions differ, the most frequent first; none where none were compared."""
        return [] if self.comparison is None else self.comparison.ordered()
