"""Which names a server answers to."""

import pytest

from tailrace.server.hosts import is_allowed


@pytest.mark.parametrize(
    ("header", "listening", "configured", "allowed"),
    [
        (b"localhost", "127.0.0.1", (), True),
        (b"LOCALHOST:8000", "127.0.0.1", (), True),
        (b"dynamodb.localhost:8000", "127.0.0.1", (), True),
        (b"127.0.0.1:1", "127.0.0.1", (), True),
        (b"127.9.9.9", "127.0.0.1", (), True),
        (b"[::1]:8000", "127.0.0.1", (), True),
        (b"evil.example", "127.0.0.1", (), False),
        (b"localhost.evil.example", "127.0.0.1", (), False),
        (b"127.0.0.1.evil.example", "127.0.0.1", (), False),
        (b"10.0.0.7:8000", "127.0.0.1", (), False),
        (b"10.0.0.7:8000", "0.0.0.0", (), True),
        (b"evil.example", "0.0.0.0", (), False),
        (b"db.internal:8000", "0.0.0.0", ("db.internal",), True),
        (b"anything", "0.0.0.0", ("*",), True),
        (b"myhost", "myhost", (), True),
        (b"", "127.0.0.1", (), False),
        (b"\xff\xfe", "127.0.0.1", (), False),
    ],
)
def test_only_names_that_no_page_can_take_are_answered(
    header: bytes, listening: str, configured: tuple[str, ...], allowed: bool
) -> None:
    assert is_allowed(header, listening, frozenset(configured)) is allowed
