"""A mutant: one wrong change of a line of the source, and the tests that must notice it.

Rules of this file: a text stands exactly once in its file, or the mutant is no longer about what it says:
that fails in words.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PACKAGE: Final = Path("src") / "tailrace"


class Rotten(Exception):
    """The line that a mutant changes is not there any more, or there more than once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong change.

    Shape:   `file` below src/tailrace; `original` stands there exactly once and becomes `changed`; `harm`
             says what a user would lose; `tests` are paths below tests/, the fast ones first, perhaps with
             `::name`. `moved` is a second text and its change, where a line goes to another place.
    """

    name: str
    file: str
    original: str
    changed: str
    harm: str
    tests: tuple[str, ...]
    moved: tuple[str, str] | None = None

    @property
    def paths(self) -> list[str]:
        """Its tests, as pytest takes them."""
        return [f"tests/{test}" for test in self.tests]

    def applied(self, text: str) -> str:
        """The file's text with the change. Raises: Rotten."""
        edits = [(self.original, self.changed), *([] if self.moved is None else [self.moved])]
        for original, changed in edits:
            count = text.count(original)
            if count != 1 or original == changed:
                raise Rotten(
                    f"{self.name}: its text is in {PACKAGE / self.file} {count} times and must be "
                    f"there once: {original.strip()!r}; write the mutant in tests/mutation anew for "
                    f"the line as it is now"
                )
            text = text.replace(original, changed)
        return text

    def check(self, root: Path = ROOT) -> None:
        """Require that it still is about something. Raises: Rotten."""
        file = root / PACKAGE / self.file
        self.applied(file.read_text() if file.is_file() else "")
        for path in self.paths:
            if not (root / path.partition("::")[0]).exists():
                raise Rotten(f"{self.name}: there is no {path}")
