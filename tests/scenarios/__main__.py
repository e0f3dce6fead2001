"""All scenarios as one page for a person who has never seen the code: `make scenarios`, or
`python -m tests.scenarios [WORD]`.

Rules of this file: it prints what the files hold, and plays nothing; test_scenarios.py says that it is true.
A scenario is printed at the first row that it plays; where another row needs it, its name is said.
"""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.rows import CHAPTERS, NOT_PLAYED

LINE = "----\n"
WIDTH = 110
HOW_TO_READ = """\
What happens to a change on its way to a handler or a Lambda function: scenes, as the tests play them and
compare them to the letter.

A scene has three parts. What it shows, in words; what is done to the world, line by line; and, with the time
in seconds, what came of it.
Changes are numbered in the order in which they were written, so [1 2 3] is a batch of the first three.

What is done:

  settings, function, handler         what reads the changes, with its settings: those of AWS in AWS's words,
                                      `backoff=first,factor,longest` in ms
  records 1 2 3 key=a ago=5s          changes are written, of one item or each of its own, now or some time
                                      ago
  fail 2 times=3, raise with=2        a call with change 2 fails, three times or always; timeout, partial,
                                      throttle, unavailable likewise
  start, stop, pause, resume, crash   of the process that reads; `hold` and `release` make answers wait
  heal, redrive a, advance 5s         the handler is mended; what was given up is put back; time passes

What came of it:

  invoke [1 2] request 4 attempt 1    the handler or function is called with these changes. An unchanged batch
                                      keeps its request
  fails, raises, times out, …         what the handler did, below its invoke; when nothing is said, it
                                      accepted the batch
  waits until 3.000                   nothing more can be done before that time
  checkpoint 4 and 7-8                durable: all changes up to 4, and those from 7 to 8, are done with, and
                                      never come again
  discarded, dropped, parked 2-2 (1)  how changes below a checkpoint ended, when they were not handled; in
                                      brackets how many they are
  dead letter 2: …                    a change that was given up; it is kept whole and can be put back
  park [2 5]                          an item steps aside: its failing change and the later ones are kept, in
                                      order
  status: 2 unsettled; not blocked    how many changes are not done with, and why, if so, the shard is read no
                                      further
  window 0-60s state (1 2)            of a tumbling window: its span, and what the function knew; `final`
                                      closes it
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. Shape: `about` is its head in words, `rows` what it plays."""

    name: str
    about: str
    rows: tuple[str, ...]
    script: str
    trace: str


def scenarios() -> list[Scenario]:
    """All of them, by name."""
    return [scenario(file) for file in sorted(Path(__file__).parent.glob("*.txt"))]


def scenario(file: Path) -> Scenario:
    """One of them."""
    script, _, trace = file.read_text().partition(LINE)
    head = [line[1:].strip() for line in script.splitlines() if line.startswith("#")]
    played = tuple(row for line in head if line.startswith("row:") for row in line[4:].split())
    about = " ".join(line for line in head if not line.startswith("row:"))
    body = "".join(line for line in script.splitlines(keepends=True) if not line.startswith("#"))
    return Scenario(file.stem, about, played, body, trace)


def page(chosen: Sequence[Scenario]) -> str:
    """The page."""
    parts = [HOW_TO_READ]
    told: set[str] = set()
    for number, (chapter, (title, rows)) in enumerate(CHAPTERS.items(), 1):
        parts.append(f"\n{'=' * WIDTH}\n{number}. {title}\n{'=' * WIDTH}\n")
        for name, text in rows.items():
            playing = [scenario for scenario in chosen if f"{chapter}/{name}" in scenario.rows]
            if playing:
                parts.append(_row(text, [scenario.name for scenario in playing if scenario.name in told]))
                parts += [_scene(scenario) for scenario in playing if scenario.name not in told]
                told |= {scenario.name for scenario in playing}
    others = [scenario for scenario in chosen if scenario.name not in told]
    if others:
        parts.append(f"\n{'=' * WIDTH}\n{len(CHAPTERS) + 1}. More scenes\n{'=' * WIDTH}\n")
        parts += [_scene(scenario) for scenario in others]
    parts.append(f"\n{'=' * WIDTH}\nWhat nothing plays\n{'=' * WIDTH}\n")
    parts += [_wrapped(f"{what}: {why}.", "* ", "  ") for what, why in NOT_PLAYED.items()]
    return "\n".join(parts)


def _row(text: str, above: Sequence[str]) -> str:
    also = f" (See above: {', '.join(above)}.)" if above else ""
    return "\n" + _wrapped(text + also, "* ", "  ")


def _scene(scenario: Scenario) -> str:
    title = f"--- {scenario.name} "
    parts = [
        f"\n{title}{'-' * (WIDTH - len(title))}", _wrapped(scenario.about), "",
        textwrap.indent(scenario.script, "    ").rstrip(), "",
        scenario.trace.rstrip(),
    ]  # fmt: skip
    return "\n".join(parts)


def _wrapped(text: str, first: str = "", later: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def main(words: Sequence[str]) -> None:
    """Print the page, or only the scenes whose name or words have one of these words."""
    chosen = [
        scenario
        for scenario in scenarios()
        if not words or any(word in f"{scenario.name} {scenario.about} {scenario.rows}" for word in words)
    ]
    sys.stdout.write(page(chosen) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
