"""Whether two revisions of a repository ask for the same environment, by the files that say so.

Theory of operation: a comparison runs another revision in the environment of this one, which shows
differences of the code only where both would have been given the same packages. Lock files and requirements
are compared whole; of a pyproject.toml only what says what is installed.
Rules of this file: pure; texts in, reasons out. Stands alone because it decides and what runs git does not.
"""

import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

LOCKS: Final = (
    "requirements*.txt", "requirements*.in", "constraints*.txt", "uv.lock", "poetry.lock", "pdm.lock",
    "pylock*.toml", "Pipfile", "Pipfile.lock", "setup.py", "setup.cfg", "environment*.yml", "conda*.lock",
    ".python-version",
)  # fmt: skip
"""By the names of files, wherever they are; everything in a folder `requirements` too."""
PROJECT: Final = "pyproject.toml"
POETRYS: Final = ("group", "sources", "source", "extras")
"""Members of a tool's table that say what is installed, beside those with `depend` in their names."""


def says_what_is_installed(path: str, folder: str) -> bool:
    """Whether a file of a repository says which packages the code of a folder is given: one that stands
    there or above it, or in a folder `requirements` of these. Shape: paths with `/`; the repository's own
    folder is "".

    >>> [says_what_is_installed(path, "api") for path in ("uv.lock", "api/requirements/a.txt", "web/uv.lock")]
    [True, True, False]
    """
    *folders, name = path.split("/")
    is_listed = name == PROJECT or any(fnmatchcase(name, pattern) for pattern in LOCKS)
    if folders[-1:] == ["requirements"]:
        is_listed = is_listed or name.endswith((".txt", ".in"))
        folders.pop()
    return is_listed and folders == [part for part in folder.split("/") if part][: len(folders)]


def differing_environments(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The files that ask for other packages in one revision than in the other. Shape: texts by path."""
    return [
        path
        for path in sorted({*before, *now})
        if _asked(path, before.get(path)) != _asked(path, now.get(path))
    ]


def _asked(path: str, text: str | None) -> Any:
    if text is None or path.split("/")[-1] != PROJECT:
        return None if text is None else _without_comments(text.splitlines())
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return text
    project, tool = read.get("project", {}), read.get("tool", {})
    names = ("dependencies", "optional-dependencies", "requires-python", "dynamic")
    asked = [
        {name: project[name] for name in names if name in project},
        read.get("dependency-groups", {}),
        *({key: value for key, value in tool.get(name, {}).items() if "depend" in key or key in POETRYS}
          for name in ("poetry", "uv", "pdm", "hatch")),
    ]  # fmt: skip
    return asked if any(asked) else None


def _without_comments(lines: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
