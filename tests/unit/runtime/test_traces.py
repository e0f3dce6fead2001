"""Traces as they are kept: the user's frames and the last cause, not what a library tells
of its own inside.
"""

from collections.abc import Callable

from tailrace.errors import Unavailable
from tailrace.runtime.traces import place_of, trace_of
from tailrace.sinks.calling import failure_of


class SocketError(Exception):
    """What a library raises at the bottom."""

    __module__ = "urllib3.exceptions"


class EndpointConnectionError(Exception):
    """What it makes of it for its callers."""

    __module__ = "botocore.exceptions"


def through_a_library() -> None:
    try:
        try:
            raise OSError("errno 111")
        except OSError as error:
            raise SocketError("new connection failed") from error
    except SocketError as error:
        raise EndpointConnectionError("Could not connect to the endpoint URL") from error


def raised(by: Callable[[], None]) -> BaseException:
    try:
        by()
    except Exception as error:  # whatever it is, it is what is looked at
        return error
    raise AssertionError("nothing was raised")


def test_the_chain_of_a_library_is_cut_to_its_last_cause() -> None:
    text = failure_of(raised(through_a_library)).traceback
    assert "EndpointConnectionError: Could not connect" in text
    assert "SocketError" not in text
    assert "errno 111" not in text
    assert "direct cause" not in text


def test_a_cause_that_is_a_library_s_is_told_and_nothing_below_it() -> None:
    def handler() -> None:
        try:
            through_a_library()
        except EndpointConnectionError as error:
            raise Unavailable("the queue is away") from error

    text = failure_of(raised(handler)).traceback
    assert "Unavailable: the queue is away" in text
    assert text.count("The above exception was the direct cause") == 1
    assert "EndpointConnectionError" in text
    assert "SocketError" not in text


def test_a_chain_of_the_user_s_own_is_told_whole() -> None:
    def handler() -> None:
        try:
            int("no number")
        except ValueError as error:
            raise KeyError("total") from error

    error = raised(handler)
    text = trace_of(error, error.__traceback__)
    assert "ValueError: invalid literal" in text
    assert "KeyError: 'total'" in text


def test_the_place_is_the_last_line_of_the_user_s_own_code() -> None:
    assert place_of(failure_of(raised(through_a_library)).traceback).startswith("test_traces.py:")
    assert place_of("ValueError: no") == ""
    only = '  File "/usr/lib/python3.11/json/decoder.py", line 7, in decode\n'
    assert place_of(only) == "decoder.py:7"
