"""Tumbling windows in scenarios: the scripted function, and how a trace shows a window.

Rules of this file: the function's state holds the sequence numbers of what it accepted, so that a trace shows
what every invocation knew. Used by language.py.
"""

import json
from typing import Any

from msgspec.structs import replace

from tailrace.mapping.outcomes import FailedFrom, Outcome, Written
from tailrace.mapping.window import STATE_BYTES, WindowState
from tailrace.streams.windows import WindowInvoke


def with_state(outcome: Outcome, window: WindowInvoke, batch: list[int], *, grows: bool) -> Outcome:
    """The answer with the state that the function made of what it accepted."""
    match outcome:
        case Written():
            return replace(outcome, state=_state(window, batch, grows=grows))
        case FailedFrom(index):
            return replace(outcome, state=_state(window, batch[:index], grows=grows))
    return outcome


def _state(window: WindowInvoke, accepted: list[int], *, grows: bool) -> bytes:
    before: dict[str, Any] = json.loads(window.state)
    after = {**before, "seen": before.get("seen", []) + accepted}
    if grows:
        after["padding"] = "x" * STATE_BYTES
    return json.dumps(after).encode()


def told(window: WindowInvoke, wall_ms: int) -> str:
    """What an invocation is told."""
    final = " final" if window.is_final else ""
    early = " early" if window.is_early else ""
    return f"{final}{early}{_span(window, wall_ms)} state {_shown(window.state)}"


def kept(window: WindowState, wall_ms: int) -> str:
    """What a checkpoint keeps."""
    return f"{_span(window, wall_ms)} {'closed' if window.state is None else 'state ' + _shown(window.state)}"


def _span(window: WindowInvoke | WindowState, wall_ms: int) -> str:
    start, end = (edge - wall_ms for edge in (window.start_ms, window.end_ms))
    return f" window {start // 1_000}-{end // 1_000}s"


def _shown(state: bytes) -> str:
    content = json.loads(state)
    seen = " ".join(str(number) for number in content.get("seen", ()))
    return f"({seen}{' and too much' if 'padding' in content else ''})"
