"""`tailrace top` and `tailrace leases` of a fleet of real processes, and at a terminal."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fleet import ENVIRONMENT, KILL, TERM, Fleet, fleet
from tests.patience import PATIENCE_S, eventually


def ask(ground: Fleet, *arguments: str) -> Any:
    code, out, said = ground.run(
        *arguments, *ground.state, "--app", "app.py", "--endpoint", ground.endpoint, "--json"
    )
    assert code == 0, said
    return json.loads(out)


def test_a_fleet_is_looked_at_and_what_a_dead_worker_left_is_freed(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        ground.create_state()
        ground.create_table()
        worker = ground.worker()
        ground.wait(ground.write(2, 0, 2))
        metrics = worker.announced["urls"]["/metrics"]
        look = ask(ground, "top", "--once", "--every", "1s", "--metrics", metrics)
        assert [entry["worker"] for entry in look["workers"]] == [worker.announced["worker"]]
        assert [entry["handler"] for entry in look["handlers"]] == ["note"]
        reads = [call for call in look["rates"]["calls"] if call["call"] == "dynamodbstreams get_records"]
        assert reads
        assert reads[0]["usd_per_month"] is not None
        (lease,) = ask(ground, "leases", "ls")
        assert (lease["state"], lease["owner"]) == ("held", worker.announced["worker"])
        worker.end(KILL)
        (lease,) = ask(ground, "leases", "ls")
        assert lease["state"] == "still"
        assert [freed["shard"] for freed in ask(ground, "leases", "release", "--dead")["released"]] == [
            lease["shard"]
        ]
        (lease,) = ask(ground, "leases", "ls", "--watch", "1s")
        assert (lease["state"], lease["owner"]) == ("free", None)
        ground.worker().end(TERM)


def test_at_a_terminal_it_redraws_until_q(tmp_path: Path) -> None:
    with fleet(tmp_path) as ground:
        main, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "top", "--every", "300ms", "--url", ground.endpoint],
            cwd=tmp_path,
            env={**os.environ, **ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        os.set_blocking(main, False)
        drawn = bytearray()

        def looks() -> int:
            with contextlib.suppress(OSError):  # nothing is there, or the other side has ended
                drawn.extend(os.read(main, 65_536))
            return len(re.findall(rb"workers", bytes(drawn)))

        try:
            eventually(lambda: looks() >= 2)
            os.write(main, b"q")
            eventually(lambda: (looks(), process.poll() is not None)[1])
            assert process.wait(PATIENCE_S) == 0, bytes(drawn)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(main)
