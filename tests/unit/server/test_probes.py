"""What a worker answers over HTTP, and to which names."""

import asyncio
from http.client import HTTPConnection

from tailrace.server.probes import Probes
from tests.patience import PATIENCE_S


def asked(path: str, host: str = "") -> tuple[int, str]:
    """One request to a worker that answers /ready with 503."""

    async def ready() -> tuple[int, str, bytes]:
        return 503, "application/json", b'{"ready":false}'

    def get(port: int) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    async def serving() -> tuple[int, str]:
        probes = Probes("127.0.0.1", 0, {"/ready": ready})
        port = await probes.start()
        try:
            return await asyncio.to_thread(get, port)
        finally:
            await probes.close()
            await probes.close()  # repeatable

    return asyncio.run(serving())


def test_a_path_is_answered_as_its_route_says() -> None:
    assert asked("/ready") == (503, '{"ready":false}')


def test_another_path_is_not_there() -> None:
    assert asked("/secret")[0] == 404


def test_a_page_that_points_its_own_name_here_is_refused() -> None:
    assert asked("/ready", "evil.example")[0] == 403
    assert asked("/ready", "localhost:80")[0] == 503
