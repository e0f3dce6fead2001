"""Mutants of replays.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

LIVE: Final = "unit/replays/test_live.py"
TRIAL: Final = "unit/replays/test_trial.py"
CORE: Final = "unit/replays/test_core.py"
DIFFERENCES: Final = "unit/replays/test_differences.py"
WINDOWS: Final = "unit/replays/test_windows.py"
PAST: Final = "unit/windows/test_past.py"
LAST: Final = "properties/test_replayed_windows.py"

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
    Mutant(
        "late-changes-are-in-windows-of-the-past",
        "windows/core/past.py",
        "        if change.image is not None and is_closed_for_good(shape, change.at_ms, horizon_ms):\n",
        "        if False:\n",
        "a replay tells what live delivery took for too late",
        (PAST, LAST),
    ),
    Mutant(
        "a-window-of-the-past-is-final-too-early",
        "windows/core/past.py",
        "            final_ms = span.end_ms - shape.every_ms + shape.length_ms\n",
        "            final_ms = span.end_ms\n",
        "a correction of a sliding window is in no word of a replay",
        (PAST, LAST),
    ),
    Mutant(
        "a-session-is-final-while-it-goes-on",
        "windows/core/past.py",
        "not in self._panes or self._goes_on(shape, (group, pane)):\n",
        "not in self._panes:\n",
        "a long session is told in pieces",
        (PAST,),
    ),
    Mutant(
        "a-session-is-forgotten-while-it-goes-on",
        "windows/run/forgetting.py",
        "            if await self._goes_on(pane, group, horizon_ms):\n",
        "            if False:\n",
        "a session of a night is told without its evening",
        ("unit/windows/test_forgetting.py",),
    ),
    Mutant(
        "a-day-is-forgotten-that-windows-of-the-next-one-hold",
        "windows/run/forgetting.py",
        "horizon_ms - 2 * self._shape.last_end_ms",
        "horizon_ms - self._shape.last_end_ms",
        "a correction after midnight forgets what came before it",
        ("unit/windows/test_forgetting.py",),
    ),
    Mutant(
        "windows-of-before-the-journal-are-told",
        "replays/run/window_source.py",
        "            and begin_us >= first_us\n",
        "",
        "a window is told of which the journal has half",
        (WINDOWS,),
    ),
    Mutant(
        "windows-of-a-gap-are-told",
        "replays/run/window_source.py",
        "            and not any(gap.overlaps(begin_us, closed_us) for gap in lost)\n",
        "",
        "a window is told that lacks the changes of a gap",
        (WINDOWS,),
    ),
    Mutant(
        "windows-of-two-ranges-that-meet-are-told-twice",
        "replays/run/window_source.py",
        "self.since_us < over_ms * MS <= self.until_us",
        "self.since_us <= over_ms * MS <= self.until_us",
        "two replays of times that meet tell a window twice",
        (WINDOWS,),
    ),
    Mutant(
        "what-the-border-cuts-is-told-by-nobody",
        "replays/run/window_live.py",
        "        for window in self._source.chosen(asked, alone):\n",
        "        for window in self._source.chosen(asked, ()):\n",
        "a window across the border in which all is closed is told by neither side",
        (WINDOWS,),
    ),
    Mutant(
        "a-replay-tells-under-the-generation-of-live-words",
        "replays/run/window_live.py",
        "run.begun_ms // SECOND, run.id",
        "1, run.id",
        "rows of a sink ignore what a replay tells",
        (WINDOWS,),
    ),
    Mutant(
        "a-live-word-forgets-the-replay-before-it",
        "windows/run/windowing.py",
        "noted.attempt.revision, noted.value, noted.generation)",
        "noted.attempt.revision, noted.value)",
        "a correction after a replay is older than the replay's word",
        (WINDOWS,),
    ),
    Mutant(
        "a-resumed-replay-of-windows-tells-its-last-one-again",
        "replays/run/window_live.py",
        "window.place <= run.told:",
        "window.place < run.told:",
        "each resume tells a window again that was saved as told",
        (WINDOWS,),
    ),
    Mutant(
        "what-is-handed-over-is-too-late",
        "windows/run/changes.py",
        "            if is_late and change.image is not None and is_closed:\n",
        "            if change.image is not None and is_closed:\n",
        "a sliding window at the border lacks what lies before the border",
        (WINDOWS,),
    ),
)
