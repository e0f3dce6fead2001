"""README and docs run as written, and a page that lies is seen to fail.

Rules of this file: the canaries are pages of a few lines; how blocks run is in `blocks`.
"""

import codeop
from pathlib import Path

import pytest

import tailrace
from tests.docs.blocks import NOT_RUN, Block, Page, blocks_of, commands_of

ROOT = Path(tailrace.__file__).parents[2]
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})
RUNNING = [
    page
    for page in PAGES
    if any(block.kind not in NOT_RUN for block in blocks_of(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("page", RUNNING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    assert Page(page, tmp_path).run() > 0


def test_the_first_pages_have_something_to_run() -> None:
    assert {"README.md", "docs/start.md"} <= {page.relative_to(ROOT).as_posix() for page in RUNNING}


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n```text output\n2\n```\n",
        "```python\nraise SystemExit('no')\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo nothing &\nlistening\n```\n",
        "```rust\nfn main() {}\n```\n",
    ],
)
def test_a_page_that_lies_fails(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises((AssertionError, SystemExit)):
        Page(tmp_path / "page.md", tmp_path).run()


def test_blocks_of_a_page_share_names_and_files(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        '```python title="number.py"\nvalue = 7\n```\n'
        "```console\n$ python -c 'import number; print(number.value)'\n7\n```\n"
        "```python\nx = 1\n```\nand then\n```python\nprint(x + 1)\n```\n```text output\n2\n```\n"
    )
    assert Page(tmp_path / "page.md", tmp_path).run() == 4


def test_a_command_goes_on_after_a_backslash() -> None:
    assert list(commands_of("$ echo a \\\n  b\na b\n$ true\n")) == [("echo a    b", "a b\n"), ("true", "")]


def typed(text: str) -> None:
    """Type a block at a prompt, as that of Python 3.12 and before takes it: an empty line ends what is
    indented. Raises: SyntaxError.
    """
    lines: list[str] = []
    for line in (*text.splitlines(), ""):
        lines.append(line)
        if codeop.compile_command("\n".join(lines), symbol="single") is not None:
            lines.clear()
    assert not "".join(lines).strip(), f"the prompt still waits for more: {lines}"


TUTORIAL = [
    pytest.param(block, id=f"line {block.line}")
    for block in blocks_of((ROOT / "docs" / "start.md").read_text(encoding="utf-8"))
    if block.info == "python"
]


@pytest.mark.parametrize("block", TUTORIAL)
def test_what_the_tutorial_says_to_type_at_a_prompt_can_be_typed_there(block: Block) -> None:
    typed(block.text)


@pytest.mark.parametrize("text", ["for x in '':\n    x\nprint()\n", "class A:\n    a = 1\n\n    b = 2\n"])
def test_a_block_that_only_a_file_takes_is_noticed(text: str) -> None:
    with pytest.raises(SyntaxError):
        typed(text)


def links(page: Path) -> list[str]:
    """Relative links of a page."""
    import re

    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [link for link in links if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_every_decision_is_on_the_list_and_says_what_would_change_it() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for page in folder.glob("0*.md"):
        assert f"({page.name})" in index, f"{page.name} is not on the list"
        text = page.read_text(encoding="utf-8")
        for part in ("Context", "Decision", "Consequences", "What would change our mind"):
            assert part in text, f"{page.name} has no part {part!r}"
