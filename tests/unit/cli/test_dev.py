"""The parts of `dev` that need no server."""

from pathlib import Path

import pytest

from tailrace.cli.dev import Throttle, described


def test_a_full_second_hides_lines_and_the_next_one_tells_how_many() -> None:
    now = [0.0]
    throttle = Throttle(2, lambda: now[0])
    assert [throttle.admit() for _ in range(5)] == [
        (True, 0), (True, 0), (False, 0), (False, 0), (False, 0),
    ]  # fmt: skip
    now[0] = 1.0
    assert [throttle.admit(), throttle.admit(), throttle.admit()] == [(True, 3), (True, 0), (False, 0)]
    now[0] = 9.0
    assert throttle.admit() == (True, 1)


def failing(path: Path, text: str) -> BaseException:
    path.write_text(text)
    try:
        exec(compile(text, str(path), "exec"), {})
    except Exception as error:  # whatever the text raises is what the test is about
        return error
    raise AssertionError("it did not fail")


def test_a_failing_app_is_described_by_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    error = failing(path, "import json\n\ndef load():\n    return json.loads('{')\n\nload()\n")
    assert described(error).startswith("JSONDecodeError: Expecting property name")
    assert described(error).endswith(f"({path}:4)")


def test_wrong_syntax_is_described_by_its_place(tmp_path: Path) -> None:
    assert (
        described(failing(tmp_path / "app.py", "a = = 1")) == "SyntaxError: invalid syntax (app.py, line 1)"
    )


@pytest.mark.parametrize("text", ["import not_there_at_all", "raise ValueError('no')"])
def test_the_kind_and_the_words_of_an_error_are_kept(tmp_path: Path, text: str) -> None:
    said = described(failing(tmp_path / "app.py", text))
    assert said.endswith(f"({tmp_path / 'app.py'}:1)")
    assert "not_there_at_all" in said or "ValueError: no" in said
