"""Files of stubs, as they are read."""

import os
from pathlib import Path

from tailrace.replays.run.stubs import read_stubs


def test_a_file_that_is_saved_twice_within_a_second_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "stubs.py"
    for answer in (3, 4):
        file.write_text(f'stubs = {{"app.rate": lambda currency: {answer}}}\n')
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert read_stubs(file)["app.rate"]("USD") == answer
