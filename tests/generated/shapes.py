"""`src/tailrace/api/models/`, made out of botocore's service models: `python -m tests.generated.shapes`
rewrites it.

Rules of this file: what a model says is written as it stands, without its prose; only what a request
can hold is kept. What AWS's front end does otherwise is no business of this script: `api.overrides`
has it. `test_shapes` compares.
"""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import botocore
from botocore.loaders import Loader

import tailrace

FOLDER: Final = Path(tailrace.__file__).parent / "api" / "models"
MODELS: Final = {
    "dynamodb": "dynamodb", "streams": "dynamodbstreams", "lambdas": "lambda", "sts": "sts",
    "kinesis": "kinesis",
}  # fmt: skip
"""The module of every service, and botocore's name for it."""
WIDTH: Final = 104
KEPT: Final = ("min", "max", "pattern", "enum", "required")
HEAD: Final = '''"""{name} as botocore {version} knows it: {operations} operations, \
{shapes} shapes of their requests.

Rules of this file: data, made by `python -m tests.generated.shapes`; a test compares it with \
the model. Read by
`api.inputs`, which lays `api.overrides` over it. Stands alone as the model of every service does.
"""

'''


def module(name: str) -> str:
    """The text of one module."""
    model = Loader().load_service_model(MODELS[name], "service-2")
    operations = {key: _operation(one) for key, one in sorted(model["operations"].items())}
    shapes: dict[str, dict[str, Any]] = {}
    for one in operations.values():
        if one["input"] is not None:
            _collect(model["shapes"], one["input"], shapes)
    head = HEAD.format(
        name=model["metadata"]["serviceFullName"],
        version=botocore.__version__,
        operations=len(operations),
        shapes=len(shapes),
    )
    return "".join(
        (
            head,
            "from tailrace.api.models import Operations, Shapes\n\n# fmt: off\n",
            f"API_VERSION = {literal(model['metadata']['apiVersion'])}\n",
            f"NAMESPACE = {literal(model['metadata'].get('xmlNamespace', ''))}\n",
            "OPERATIONS: Operations = {\n",
            *(entry(key, one) for key, one in operations.items()),
            "}\n",
            "SHAPES: Shapes = {\n",
            *(entry(key, shapes[key]) for key in sorted(shapes)),
            "}\n",
        )
    )


def entry(name: str, value: object) -> str:
    """A line or more of a table."""
    lines = textwrap.wrap(
        f"{literal(name)}: {literal(value)},",
        WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"    {line}\n" for line in lines)


def literal(value: object) -> str:
    """A value as source text that may be broken at every blank.

    >>> literal({"min": 1, "enum": ["A b"]})
    '{"min": 1, "enum": ("A\\\\x20b",)}'
    """
    match value:
        case str():
            return json.dumps(value).replace(" ", "\\x20")
        case list() | tuple():
            return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
        case dict():
            return f"{{{', '.join(f'{literal(key)}: {literal(one)}' for key, one in value.items())}}}"
        case _:
            return repr(value)


def _operation(one: Mapping[str, Any]) -> dict[str, Any]:
    http = one["http"]
    return {
        "method": http["method"],
        "path": http["requestUri"],
        "status": http.get("responseCode", 200),
        "input": one.get("input", {}).get("shape"),
    }


def _collect(model: Mapping[str, Any], name: str, shapes: dict[str, dict[str, Any]]) -> None:
    """Add a shape and those inside it."""
    if name in shapes:
        return
    given = model[name]
    shape: dict[str, Any] = {"type": given["type"]}
    shape |= {key: given[key] for key in KEPT if key in given}
    shapes[name] = shape
    for key in ("key", "value", "member"):
        if key in given:
            shape[key] = given[key]["shape"]
            _collect(model, shape[key], shapes)
    if given["type"] == "structure":
        shape["members"] = {key: one["shape"] for key, one in given["members"].items()}
        places = {
            key: (one["location"], one["locationName"])
            for key, one in given["members"].items()
            if one.get("location") in ("uri", "querystring", "header", "headers")
        }
        if places:
            shape["places"] = places
        if "payload" in given:
            shape["payload"] = given["payload"]
        for one in given["members"].values():
            _collect(model, one["shape"], shapes)


def main() -> None:
    """Write every module."""
    for name in MODELS:
        (FOLDER / f"{name}.py").write_text(module(name), encoding="utf-8")


if __name__ == "__main__":
    main()
