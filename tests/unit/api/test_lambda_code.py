"""What a client sends as a function's code: told, never run, and refused where it is none."""

import pytest

from tailrace.api.lambdas.configuration import code_of
from tailrace.api.protocols import read_rest, routes_of
from tailrace.api.registry import LAMBDA, find_operations
from tailrace.api.wire import Payload
from tailrace.errors import ApiError

CREATED = {"Role": "arn:aws:iam::000000000000:role/any", "Runtime": "python3.12", "Handler": "functions.echo"}


@pytest.mark.parametrize("sent", ["é", "AAA", "A===", "\u0000", "💩" * 9])
def test_code_that_is_no_base64_is_refused_whatever_its_characters(sent: str) -> None:
    with pytest.raises(ApiError, match="ZipFile is no base64 text"):
        code_of({**CREATED, "Code": {"ZipFile": sent}})


def test_the_size_of_code_is_told() -> None:
    assert code_of({**CREATED, "Code": {"ZipFile": "AAAA"}})["CodeSize"] == 3


def created(body: bytes) -> Payload:
    """The members of a CreateFunction with this body. Raises: ApiError."""
    routes = routes_of(find_operations((LAMBDA,)).values())
    return read_rest(routes, b"POST", b"/2015-03-31/functions", {}, body)[1]


@pytest.mark.parametrize("levels", [65, 300, 1_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_body_that_is_nested_without_sense_is_refused_before_anybody_walks_it(
    levels: int, opening: bytes, closing: bytes
) -> None:
    inside = levels - 1
    with pytest.raises(ApiError, match="more than 64 levels") as refused:
        created(b'{"Environment":' + opening * inside + b"1" + closing * inside + b"}")
    assert (refused.value.code, refused.value.status) == ("InvalidRequestContentException", 400)
    assert created(b'{"a":' + b"[" * 62 + b"]" * 62 + b"}")
