"""Mutants of replays.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

LIVE: Final = "unit/replays/test_live.py"
TRIAL: Final = "unit/replays/test_trial.py"
CORE: Final = "unit/replays/test_core.py"
DIFFERENCES: Final = "unit/replays/test_differences.py"

REPLAYS: Final = (
    Mutant(
        "replay-goes-on-behind-a-failure",
        "replays/run/live.py",
        "                return left[0], failure\n",
        "                return None\n",
        "a live replay skips a change that its handler fails for",
        (LIVE,),
    ),
    Mutant(
        "replay-saves-the-whole-batch-before-it-stops",
        "replays/run/live.py",
        "            if change.record.version == record.version and change.record.keys == record.keys:\n"
        "                break\n",
        "",
        "a replay that is resumed begins behind the change that it stopped for",
        (LIVE,),
    ),
    Mutant(
        "replay-leaves-followers-of-a-failure",
        "replays/run/live.py",
        "                if place in failures or record.key in held:",
        "                if place in failures:",
        "a later change of an item is taken for handled that was never tried",
        (LIVE,),
    ),
    Mutant(
        "resumed-replay-repeats-its-last-change",
        "replays/core/runs.py",
        "return (self.version, self.shard) < (version, shard)",
        "return (self.version, self.shard) <= (version, shard)",
        "each resume handles the last change again that was saved as done",
        (CORE,),
    ),
    Mutant(
        "two-processes-go-on-with-a-replay",
        "replays/core/runs.py",
        "    mine = replace(run, taken=run.taken + 1)\n",
        "    mine = run\n",
        "two processes replay the same changes side by side, and items out of order",
        (CORE,),
    ),
    Mutant(
        "live-marks-suppress-a-replay",
        "testing/replays.py",
        "self._clock, worker.replayed,",
        "self._clock, lambda mapping, run_id: worker.sinks[mapping.id],",
        "what a handler records is not applied again, and a change does not tell that it is replayed",
        (LIVE,),
    ),
    Mutant(
        "effects-follow-an-unknown-call",
        "replays/run/noting.py",
        "        if not self.unknown:\n            self.effects",
        "        if True:\n            self.effects",
        "effects are told as known that follow a call which nothing has answered",
        (TRIAL,),
    ),
    Mutant(
        "reads-of-a-replay-see-the-future",
        "replays/run/recording.py",
        "        at_us = notes.record.created_us - is_window\n",
        "        at_us = 1 << 60\n",
        "a handler on trial reads the table of today",
        (TRIAL,),
    ),
    Mutant(
        "unknown-changes-are-compared",
        "replays/core/differences.py",
        "            self.unknown[unknown] = self.unknown.get(unknown, 0) + 1\n            return\n",
        "            self.unknown[unknown] = self.unknown.get(unknown, 0) + 1\n",
        "a pull request fails for what a call that nothing answers would have answered",
        (DIFFERENCES,),
    ),
    Mutant(
        "added-effects-are-no-difference",
        "replays/core/differences.py",
        "    for place in sorted({*earlier, *later}):",
        "    for place in sorted({*earlier}):",
        "effects that a change of the code adds pass the check",
        (DIFFERENCES,),
    ),
)
