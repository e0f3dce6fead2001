"""The state of tumbling windows, whatever fails: every checkpoint's states hold exactly what it
settles, each record once.

Rules of this file: the machine is the real one, the world around it that of the scenarios; the function's
state lists what it accepted. A final invoke counts when the checkpoint behind it is durable; what a crash
took back counts for nothing.
"""

import json
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.mapping.commands import Checkpoint, CheckpointDone, Invoke, InvokeDone, SaveCheckpoint
from tailrace.mapping.outcomes import Outcome, Written
from tailrace.mapping.window import STATE_BYTES, WindowState
from tailrace.runtime.delivering import Asked
from tests.scenarios.language import World

RECORDS = 24
HEAL = ("heal", "resume", "close", "advance 3m", "advance 3m")


def seen(state: bytes | None) -> list[int]:
    """The records that a state was made of."""
    return [] if state is None else list(json.loads(state).get("seen", ()))


@dataclass(slots=True)
class Watched(World):
    """The world of the scenarios, which counts what is durable."""

    closed_states: list[int] = field(default_factory=list)
    lost_states: list[int] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    finals: list[int] = field(default_factory=list)
    saving: list[int] = field(default_factory=list)
    invoked_windows: dict[int, tuple[bool, bytes]] = field(default_factory=dict)
    saved: Checkpoint = field(default_factory=Checkpoint)

    def settle(self) -> None:
        """As the scenarios' world; a final invoke that succeeded is noted when the machine hears of it."""
        while True:
            self.answer_read()
            if not self.queue or self.machine is None:
                return
            completion = self.queue.popleft()
            if isinstance(completion, InvokeDone):
                is_final, state = self.invoked_windows.pop(completion.id)
                if (
                    is_final
                    and isinstance(completion.outcome, Written)
                    and completion.outcome.state is not None
                ):
                    self.finals += seen(state)
            for command in self.machine.step(completion, self.now):
                self.carry_out(command)

    def outcome(self, command: Invoke) -> Outcome:
        """As there; what the function was told of its window is judged, and noted for when the machine hears
        what it made of it.
        """
        window = command.window
        assert window is not None
        assert window.is_early == (window.is_final and len(window.state) > STATE_BYTES), (
            "too large ends at once"
        )
        assert window.is_final or len(window.state) <= STATE_BYTES, (
            "nothing is told a state that is too large"
        )
        self.invoked_windows[command.id] = (window.is_final, window.state)
        return World.outcome(self, command)

    def answer(self, command: Asked) -> None:
        """As there; a checkpoint that is saved is judged."""
        if isinstance(command, SaveCheckpoint):
            self.saving, self.finals = self.finals, []
        World.answer(self, command)
        if not isinstance(command, SaveCheckpoint):
            return
        if not isinstance(self.queue[-1], CheckpointDone):
            self.finals, self.saving = self.saving, []
            return
        self.saved = command.checkpoint
        self.closed_states += self.saving
        self.lost_states += [number for lost in command.windows for number in seen(lost.window.state)]
        for span in command.settled:
            numbers = list(range(span.first, span.last + 1))
            assert span.count == len(numbers), "one lane settles in the order of reading"
            self.settled += numbers
            self.handled += numbers if span.outcome == "handled" else []
        window = command.checkpoint.window
        assert not (command.checkpoint.finished and window and window.state is not None), (
            "finished, a window open"
        )
        self.judge(window)

    def judge(self, window: WindowState | None) -> None:
        """What is in states is what was handled, each record once."""
        there = self.closed_states + self.lost_states + (seen(window.state) if window else [])
        assert Counter(there) == Counter(self.handled), "\n".join(self.trace)

    def run(self, line: str) -> None:
        """As there; after a crash what is not durable never was."""
        if line == "crash":
            self.finals, self.saving = [], []
            self.invoked_windows.clear()
        World.run(self, line)


numbers = st.integers(1, RECORDS // 3)
times = st.integers(1, 3)
FAULTS = st.one_of(
    st.builds(
        "{0} {1} times={2}".format,
        st.sampled_from(["fail", "partial", "timeout", "stateless", "grow"]),
        numbers,
        times,
    ),
    st.builds(
        "{0} times={1}".format,
        st.sampled_from(["throttle", "fail-final", "fail-reads", "fail-checkpoints"]),
        times,
    ),
)
STEPS = st.one_of(
    FAULTS,
    FAULTS,
    st.builds("advance {}s".format, st.integers(1, 40)),
    st.builds("write {} ago={}s".format, st.integers(1, 4), st.integers(0, 15)),
    st.builds("write {}".format, st.integers(1, 4)),
    st.sampled_from(["crash", "crash", "hold invokes", "pause", "resume"]),
)
SETTINGS = st.builds(
    "settings lambda TumblingWindowInSeconds=10 BatchSize={} MaximumRetryAttempts={} "
    "BisectBatchOnFunctionError={} MaximumRecordAgeInSeconds={} "
    "FunctionResponseTypes=ReportBatchItemFailures backoff=500,2,4000".format,
    st.integers(1, 4),
    st.integers(0, 2),
    st.sampled_from(["true", "false"]),
    st.sampled_from(["-1", "60"]),
)


def played(chosen: str, steps: list[str]) -> Watched:
    """The world after all that, healed, with its shard closed."""
    world = Watched()
    world.run(chosen)
    world.run("start")
    written = 0
    for step in [*steps, *HEAL]:
        if step.startswith("write"):
            _, count, *options = step.split()
            new = range(written + 1, min(written + int(count), RECORDS) + 1)
            if new:
                world.run(" ".join(["records", *map(str, new), *options]))
            written = max([written, *new])
            continue
        if step == "hold invokes" and world.held:
            step = "release invokes"
        if step == "heal" and world.held:
            world.run("release invokes")
        world.run(step)
    assert sorted(world.settled) == list(range(1, written + 1)), "\n".join(world.trace)
    return world


@settings(max_examples=100)
@given(SETTINGS, st.lists(STEPS, min_size=12, max_size=30))
def test_states_hold_what_was_handled_each_record_once(chosen: str, steps: list[str]) -> None:
    world = played(chosen, steps)
    assert world.saved.finished, "\n".join(world.trace)
    assert world.saved.window is None or world.saved.window.state is None, "the last window is closed"


def test_the_property_sees_windows_faults_and_crashes() -> None:
    """Without this a change of the language could make the property empty."""
    chosen = (
        "settings lambda TumblingWindowInSeconds=10 BatchSize=2 MaximumRetryAttempts=0 backoff=500,2,4000"
    )
    steps = [
        "fail 2 times=1",
        "write 4",
        "advance 5s",
        "crash",
        "fail-final times=1",
        "write 4",
        "advance 20s",
    ]
    world = played(chosen, steps)
    assert world.handled == [3, 4, 5, 6, 7, 8]
    assert (world.closed_states, world.lost_states) == ([], [3, 4, 5, 6, 7, 8])
