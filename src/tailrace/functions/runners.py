"""Who runs each function of an app: processes of its own on a node, this process in a test world.

Rules of this file: one runner a mapping, kept as long as the worker. A function runs as what its name says,
never as what it calls itself. What no other process can find (a lambda, a function inside a function) runs
here, and is told so once. Made by `compose_worker`. Stands alone because the pool serves Lambda's API, too,
which knows no app.
"""

import logging
from typing import Final

from tailrace.app.app import HandlerMapping
from tailrace.app.function_settings import place_of_code
from tailrace.functions.pool import ProcessRunner
from tailrace.ports import Clock
from tailrace.sinks.lambda_function import InlineRunner, Runner
from tailrace.streams.arns import REGION

LOG: Final = logging.getLogger("tailrace.handlers")


class Runners:
    """The runners of one worker.

    Shape:   `in_processes` says whether functions get processes of their own, `region` what these are told as
             theirs.
    """

    def __init__(self, clock: Clock, *, in_processes: bool = False, region: str = REGION) -> None:
        self._clock = clock
        self._in_processes = in_processes
        self._region = region
        self._processes: dict[str, ProcessRunner] = {}

    def of(self, mapping: HandlerMapping) -> Runner:
        """The runner of a function."""
        if mapping.id in self._processes:
            return self._processes[mapping.id]
        code = (mapping.code or place_of_code(mapping.target)) if self._in_processes else None
        if code is not None:
            made = ProcessRunner(mapping.function_name, code, mapping.function, self._region)
            self._processes[mapping.id] = made
            return made
        if self._in_processes:
            LOG.warning(
                "function %s stands under no name of a module, so it runs in this process and its "
                "time-out of %s s is not enforced: "
                "define it at the top of a module, or name it, app.function('module:attribute', …)",
                mapping.id,
                mapping.function.timeout_s,
            )
        return InlineRunner(mapping.target, mapping.function_name, mapping.function, self._clock)

    async def withdraw(self, mapping_id: str) -> None:
        """End the processes of one mapping, which runs no more."""
        runner = self._processes.pop(mapping_id, None)
        if runner is not None:
            await runner.close()

    async def close(self) -> None:
        """End every process of every function."""
        for runner in self._processes.values():
            await runner.close()
        self._processes.clear()
