"""The admin API of one node, so that its user's commands find it: by the data directory, and by the port.

Rules of this file: it joins the socket (`control`) and the record of it (`nodes`). A socket of a data
directory that cannot be made ends the start; a node that cannot be told by its port is told so in the log,
and runs. Made by node.py. Stands alone because a node is found so, whatever else it does.
"""

import logging
from pathlib import Path

from tailrace.errors import StoreError
from tailrace.server import nodes
from tailrace.server.control import ControlServer, Subject

_log = logging.getLogger("tailrace.server")


class Admin:
    """Serves the admin API from `start` to `close`."""

    def __init__(self, subject: Subject, directory: Path | None, port: int) -> None:
        self._subject = subject
        self._directory = directory
        self._port = port
        self._server: ControlServer | None = None
        self._recorded: Path | None = None

    async def start(self) -> None:
        """Listen, and say where. Raises: StoreError when the socket of the data directory cannot be made."""
        directory = self._directory
        if directory is not None:
            await self._listen(directory)
        try:
            if directory is None:
                directory = nodes.place_in_memory(self._port)
                await self._listen(directory)
            nodes.record(self._port, directory)
            self._recorded = directory
        except StoreError as error:
            _log.warning("`--url` will not find this node: %s", error.args[0], extra={"hint": error.hint})

    async def _listen(self, directory: Path) -> None:
        self._server = ControlServer(self._subject, directory)
        await self._server.start()

    async def close(self) -> None:
        """Answer no more. Repeatable."""
        if self._server is not None:
            await self._server.close()
        if self._recorded is not None:
            nodes.forget(self._port, self._recorded)
            self._recorded = None
