"""What a call needs of botocore's model of an operation, compiled once into a small frozen value.

Rules of this file: pure: it reads a model that it is given and imports nothing of botocore. A JSON protocol
needs no shapes (members go as they are), REST needs those of the first floor (what goes into the path, the
query, a header), and XML needs all of the answer's. What no protocol here can say is refused when it is
compiled, by name. Called by places.py, read by protocols.py.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from tailrace.errors import InternalError

DEEPEST: Final = 12
"""Floors of an answer that is read from XML; a shape that holds itself would have no end."""
PROTOCOLS: Final = ("json", "query", "rest-json", "rest-xml")


class ShapeModel(Struct, frozen=True):
    """A value on the wire.

    Shape:   `kind` is botocore's name ("structure", "list", "map", "string", "blob", …); `name` is the
             wire's, "" for none of its own; `place` is where a member of a REST operation stands ("uri",
             "querystring", "header", "headers", "statusCode", "" the body). A list has one shape in `inner`,
             a map its key's and its value's, a structure those of its members in `members`.
    """

    kind: str
    name: str = ""
    place: str = ""
    is_flat: bool = False
    members: Mapping[str, "ShapeModel"] = field(default_factory=dict)
    inner: tuple["ShapeModel", ...] = ()


NOTHING: Final = ShapeModel("structure")


class OperationModel(Struct, frozen=True):
    """One operation.

    Shape:   `call` is how errors name it ("sqs.send_message"); `path` has "{Name}" and "{Name+}"; `query` are
             arguments that it always has; `payload` is the member that is the body, and `answer_payload` the
             one that the answer's body is; `wrapper` is around a query's answer.
    """

    service: str
    name: str
    python_name: str
    protocol: str
    method: str = "POST"
    path: str = "/"
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    input_shape: ShapeModel = NOTHING
    answer: ShapeModel = NOTHING
    payload: str = ""
    answer_payload: str = ""
    wrapper: str = ""

    @property
    def call(self) -> str:
        """Service and operation, in Python's spelling."""
        return f"{self.service}.{self.python_name}"


def compiled(service: str, python_name: str, model: Any) -> OperationModel:
    """An operation of botocore's. Shape: `model` is its OperationModel. Raises: InternalError for a protocol
    that is not spoken here.
    """
    metadata = model.service_model.metadata
    protocol = str(metadata["protocol"])
    if protocol not in PROTOCOLS:
        raise InternalError(
            f"{service}.{python_name} speaks {protocol!r}; what is spoken here is {', '.join(PROTOCOLS)}"
        )
    if model.endpoint:
        raise InternalError(f"{service}.{python_name} wants a host of its own, {model.endpoint}")
    version = str(metadata["apiVersion"])
    if protocol == "json":
        return OperationModel(
            service, model.name, python_name, protocol, headers=_json_headers(metadata, model.name)
        )
    is_xml = protocol != "rest-json"
    input_shape = _shape(model.input_shape, DEEPEST if protocol == "query" else 1)
    answer = _shape(model.output_shape, DEEPEST if is_xml else 1)
    wrapper = model.output_shape.serialization.get("resultWrapper", "") if model.output_shape else ""
    if protocol == "query":
        return OperationModel(
            service,
            model.name,
            python_name,
            protocol,
            version=version,
            input_shape=input_shape,
            answer=answer,
            wrapper=wrapper,
        )
    path, _, query = str(model.http["requestUri"]).partition("?")
    payload = _payload(model.input_shape)
    has_body = any(not shape.place for name, shape in input_shape.members.items() if name != payload)
    if protocol == "rest-xml" and (
        has_body or (payload and input_shape.members[payload].kind == "structure")
    ):
        raise InternalError(f"{service}.{python_name} wants a body of XML, which is not written here")
    return OperationModel(
        service,
        model.name,
        python_name,
        protocol,
        str(model.http["method"]),
        path,
        _arguments(query),
        version=version,
        input_shape=input_shape,
        answer=answer,
        payload=payload,
        answer_payload=_payload(model.output_shape),
    )


def _json_headers(metadata: Mapping[str, Any], name: str) -> dict[str, str]:
    headers = {
        "content-type": f"application/x-amz-json-{metadata['jsonVersion']}",
        "x-amz-target": f"{metadata['targetPrefix']}.{name}",
    }
    if "awsQueryCompatible" in metadata:  # then errors keep the codes that the query protocol had
        headers["x-amzn-query-mode"] = "true"
    return headers


def _payload(shape: Any) -> str:
    return str(shape.serialization.get("payload", "")) if shape is not None else ""


def _arguments(query: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return tuple((name, value) for name, _, value in pairs)


def _shape(model: Any, floors: int) -> ShapeModel:
    """A shape of botocore's with so many floors beneath it."""
    if model is None:
        return NOTHING
    serialization, kind = model.serialization, str(model.type_name)
    members: dict[str, ShapeModel] = {}
    inner: tuple[ShapeModel, ...] = ()
    if floors and kind == "structure":
        members = {name: _shape(member, floors - 1) for name, member in model.members.items()}
    elif floors and kind == "list":
        inner = (_shape(model.member, floors - 1),)
    elif floors and kind == "map":
        inner = (_shape(model.key, floors - 1), _shape(model.value, floors - 1))
    elif not floors and kind == "structure" and serialization.get("flattened"):
        raise InternalError(f"{model.name} is deeper than {DEEPEST} floors")
    return ShapeModel(
        kind,
        str(serialization.get("name", "")),
        str(serialization.get("location", "")),
        bool(serialization.get("flattened")),
        members,
        inner,
    )
