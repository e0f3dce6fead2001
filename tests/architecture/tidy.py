"""Taste as an executable: one function a rule, each finding says what to do instead.

Rules of this file: a rule takes sources (path below the package → text) and yields findings; it knows nothing
of the disk, so that its canary can hand it a source that must be found. Called by `test_tidy`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tailrace.rows.kinds import KINDS
from tests.architecture.syntax import dotted, nodes, tree

Sources = Mapping[str, str]

MODULE_LINES: Final = 500
FUNCTION_LINES: Final = 60
MADE: Final = {"api/models/dynamodb.py", "api/models/lambdas.py"}
"""Data that a script makes out of AWS's models (tests/generated/shapes.py): as long as what it is made of."""
LONG_FUNCTIONS: Final[frozenset[str]] = frozenset()
"""Functions that are allowed to be longer, as `path:name`. This list may only shrink."""
MOST_ARGUMENTS: Final = 7
MANY_ARGUMENTS: Final[frozenset[str]] = frozenset({"testing/world.py:World"})
"""Classes that users make: a test's world has its options by name. This list may only shrink."""
RUNS: Final = ("runtime/", "worker/", "deadletters/run/", "projections/run/", "windows/run/")
"""Where the runtime is: delivery, the worker, and what feature rooms run."""
ROOMS: Final = ("deadletters/", "projections/", "windows/")
"""Whose mutable values what runs may change: a redrive's progress is a value of the room's core."""
JOIN_PARTS: Final = {"compose.py", "compose_worker.py"}
TRACES: Final = {"__traceback__", "__cause__", "__context__"}
"""Of an exception that is passed on: Python has no other way."""
VAGUE_NAMES: Final = {"utils", "helpers", "common", "base", "manager"}
MAY_ASK_THE_WORLD: Final = (
    "clocks/",
    "compose.py",
    "cli/",
    "testing/",
    "aws/client.py",
    "aws/signed_requests.py",
    "replays/run/fixing.py",
)
"""A replay lays a change's own time and chance over that of the process, for handlers on trial.
The client of AWS signs the machine's own time: a signature is judged by AWS's clock,
never by an engine's.
"""
WALL_CLOCKS: Final = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep",
    "time.localtime", "time.gmtime", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
}  # fmt: skip
RANDOM_MODULES: Final = {"random", "secrets", "uuid"}
OPERATION_HEADER: Final = ("Behaviour", "Limits", "Not emulated", "Source")
MAY_NAME_ROWS: Final = ("rows/", "testing/contracts/")
"""Where keys of state are made; and the public checks of a state store, whose rows have no owner."""
MAKE_KINDS: Final = {"joined", "of_mapping"}
MAY_JOIN: Final = {"windows/core/rows.py"}
"""Who may join words without a kind: the row of a day names another row behind its own words."""
TAKE_KEYS: Final = {
    "Write", "Check", "StateRow", "state.get", "state.query", "state.rows", "state.count",
}  # fmt: skip
ENGINES_STATE: Final = re.compile(r"\b_?engine\.state$")
MAY_TOUCH_ENGINE_STATE: Final = ("engine/", "testing/")
"""Whose rows they are; and the test world, which looks into its own engine."""
ENTRY_MODULES: Final = {"__init__.py", "__main__.py", "cli/main.py", "testing/plugin.py"}
"""Modules that something outside the package calls: python, the console script, pytest."""


def module_sizes(sources: Sources) -> Iterator[str]:
    """A module that has grown too large has two ideas in it."""
    for path, text in sources.items():
        lines = text.count("\n")
        if lines > MODULE_LINES and path not in MADE:
            yield f"{path} has {lines} lines: split it where its second idea begins (at most {MODULE_LINES})"


def function_sizes(sources: Sources) -> Iterator[str]:
    """A function that does not fit on a screen is not read."""
    for path, text in sources.items():
        for node in nodes(text):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES and f"{path}:{node.name}" not in LONG_FUNCTIONS:
                    yield f"{path}:{node.name} has {lines} lines: name its parts (at most {FUNCTION_LINES})"


def constructor_sizes(sources: Sources) -> Iterator[str]:
    """A constructor with many arguments hides a value that has no name yet."""
    for path, text in sources.items():
        for made in nodes(text):
            if not isinstance(made, ast.ClassDef) or f"{path}:{made.name}" in MANY_ARGUMENTS:
                continue
            for node in made.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    given = node.args
                    count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                    if count > MOST_ARGUMENTS:
                        yield (
                            f"{path}:{made.name} takes {count} arguments: name what belongs together (at "
                            f"most {MOST_ARGUMENTS})"
                        )


def outside_assignments(sources: Sources) -> Iterator[str]:
    """What an object needs it is given when it is made: nothing is set on it afterwards by another object.

    Where workers are joined nothing is set on anything. In the runtime a mutable struct or dataclass is a
    value that its holder may change.
    """
    values = {
        name
        for path, text in sources.items()
        if path.startswith(RUNS + ROOMS)
        for name in _mutable_fields(text)
    }
    for path, text in sources.items():
        if path not in JOIN_PARTS and not path.startswith(RUNS):
            continue
        allowed = set(TRACES) if path in JOIN_PARTS else values | TRACES
        for node in nodes(text):
            for target in _assigned(node):
                owner = target.value
                is_own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
                if not is_own and target.attr not in allowed:
                    yield (
                        f"{path}:{node.lineno} sets {ast.unparse(target)}: give it to the constructor, "
                        f"or call a method"
                    )


def _assigned(node: ast.AST) -> Iterator[ast.Attribute]:
    match node:
        case ast.Assign(targets=targets):
            queue: list[ast.expr] = [*targets]
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            queue = [target]
        case ast.Call(func=ast.Name("setattr"), args=[owner, ast.Constant(str(name)), *_]):
            queue = [ast.Attribute(owner, name)]
        case _:
            return
    while queue:
        target = queue.pop()
        if isinstance(target, ast.Tuple | ast.List):
            queue += target.elts
        elif isinstance(target, ast.Attribute):
            yield target


def _mutable_fields(text: str) -> Iterator[str]:
    """The fields of structs and dataclasses that are not frozen."""
    for made in nodes(text):
        if isinstance(made, ast.ClassDef):
            marks = [
                mark
                for decorator in made.decorator_list
                if (mark := ast.unparse(decorator)).startswith("dataclass")
            ]
            if any(ast.unparse(base).endswith("Struct") for base in made.bases):
                marks.append(" ".join(ast.unparse(keyword) for keyword in made.keywords))
            if any("frozen" not in mark for mark in marks):
                yield from (
                    field.target.id
                    for field in made.body
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                )


def vague_names(sources: Sources) -> Iterator[str]:
    """A module is named after what lives in it."""
    for path in sources:
        for part in path.removesuffix(".py").split("/"):
            if part in VAGUE_NAMES:
                yield f"{path}: {part!r} says nothing; name the module after what lives in it"


def world_questions(sources: Sources) -> Iterator[str]:
    """Time and chance come through ports, so that a seed reproduces everything."""
    for path, text in sources.items():
        if path.startswith(MAY_ASK_THE_WORLD):
            continue
        for node in nodes(text):
            for name in _asked(node):
                yield f"{path}:{getattr(node, 'lineno', 0)} asks {name}: take a Clock, or be given the value"


def _asked(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute() if (name := dotted(node)) in WALL_CLOCKS:
            yield name
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name.split(".")[0] in RANDOM_MODULES)
        case ast.ImportFrom(module=str(module), names=names):
            if module.split(".")[0] in RANDOM_MODULES:
                yield module
            yield from (
                f"{module}.{alias.name}" for alias in names if f"{module}.{alias.name}" in WALL_CLOCKS
            )
        case _:
            return


CLOCK_OF_NUMBERS: Final = "streams/record.py"


def times_in_numbers(sources: Sources) -> Iterator[str]:
    """After a restart sequence numbers run up to an hour ahead of the clock:
    a record carries `created_us`.
    """
    for path, text in sources.items():
        if path == CLOCK_OF_NUMBERS:
            continue
        for node in nodes(text):
            if _reads_a_time(node):
                yield (
                    f"{path}:{getattr(node, 'lineno', 0)} reads a time out of a sequence number: use "
                    f"created_us of its record"
                )


def _reads_a_time(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="CLOCK_BITS") | ast.Attribute(attr="CLOCK_BITS") | ast.alias(name="CLOCK_BITS"):
            return True
        case ast.BinOp(op=ast.RShift(), right=bits) | ast.AugAssign(op=ast.RShift(), value=bits):
            return _value(bits) == 20
        case ast.BinOp(op=ast.FloorDiv() | ast.Div(), right=divisor):
            return _value(divisor) == 1 << 20 and "sequence" in ast.unparse(node)
        case ast.Call(func=ast.Name(id="divmod"), args=[_, divisor]):
            return _value(divisor) == 1 << 20
        case _:
            return False


def _value(node: ast.expr) -> int | None:
    """The value of a constant that is written as one, or as a power of two."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(
            left=ast.Constant(value=int(left)), op=ast.LShift(), right=ast.Constant(value=int(right))
        ):
            return left << right
        case ast.BinOp(
            left=ast.Constant(value=int(left)), op=ast.Pow(), right=ast.Constant(value=int(right))
        ):
            return int(left**right)
        case _:
            return None


def prints(sources: Sources) -> Iterator[str]:
    """Only the command line speaks to people."""
    for path, text in sources.items():
        if path.startswith("cli/"):
            continue
        for node in nodes(text):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                yield f"{path}:{node.lineno} prints: log it, return it, or raise"


def broad_excepts(sources: Sources) -> Iterator[str]:
    """A handler that catches everything says why, beside it or on the line before, or only tidies up and
    raises it again.
    """
    for path, text in sources.items():
        lines = text.splitlines()
        for node in nodes(text):
            if not isinstance(node, ast.ExceptHandler) or not _is_broad(node.type) or _passes_on(node):
                continue
            if not any("#" in line for line in lines[max(0, node.lineno - 2) : node.body[0].lineno - 1]):
                yield f"{path}:{node.lineno} catches everything: say why in a comment beside it"


def _passes_on(node: ast.ExceptHandler) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(name, ast.Name) and name.id in ("Exception", "BaseException") for name in names)


def dead_modules(sources: Sources, also_named: str = "") -> Iterator[str]:
    """A module that no other imports is not there. `also_named`: texts that name
    modules as data (pyproject.toml).

    Operations are imported by their names, and `testing` is what users import.
    """
    named = set(re.findall(r"tailrace(?:\.\w+)+", also_named))
    for path, text in sources.items():
        named |= _imported(path, text)
    for path in sources:
        module = "tailrace." + path.removesuffix(".py").replace("/", ".")
        is_for_others = path.startswith(("api/", "testing/"))
        if (
            path not in ENTRY_MODULES
            and not path.endswith("__init__.py")
            and not is_for_others
            and module not in named
        ):
            yield f"{path} is imported by nothing: delete it, or use it"


def _imported(path: str, text: str) -> set[str]:
    imported: set[str] = set()
    for node in nodes(text):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module), names=names):
                imported |= {module} | {f"{module}.{alias.name}" for alias in names}
            case ast.Constant(value=str(value)) if value.startswith("tailrace."):
                imported.add(value.partition(":")[0])  # a module imported by name when it is needed
            case _:
                pass
    return imported


def operation_headers(sources: Sources) -> Iterator[str]:
    """An operation says what it does, its limits, what it leaves out, and who says so."""
    for path, text in sources.items():
        if path.startswith("api/") and re.search(r"^@(lambda_)?operation\(", text, re.MULTILINE):
            header = ast.get_docstring(tree(text)) or ""
            for word in OPERATION_HEADER:
                if not re.search(rf"^\s*{word}\b", header, re.MULTILINE):
                    yield f"{path}: its header lacks {word!r}"


def module_docstrings(sources: Sources) -> Iterator[str]:
    """A module opens by saying what lives in it."""
    for path, text in sources.items():
        if not ast.get_docstring(tree(text)):
            yield f"{path} has no docstring: say what lives here and who calls it"


def public_docstrings(sources: Sources) -> Iterator[str]:
    """A public name says what it is."""
    for path, text in sources.items():
        for node in _public_definitions(tree(text).body):
            if not ast.get_docstring(node) and not _is_overload(node) and not _is_empty(node):
                yield f"{path}:{node.lineno} {node.name} has no docstring"


def _public_definitions(
    body: list[ast.stmt],
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node
            yield from _public_definitions([one for one in node.body if not isinstance(one, ast.ClassDef)])


def _is_empty(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A line of a listener that is only there to be overridden: its class says what it is."""
    return isinstance(node, ast.FunctionDef) and ast.unparse(node.body[0]) == "..."


def _is_overload(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(one, ast.Name) and one.id in ("overload", "override") for one in node.decorator_list
    )


def state_keys(sources: Sources) -> Iterator[str]:
    """The key of a row is made by its kind, or `mapping rename` and everything else that goes over kinds
    would not know the row.
    """
    begins = re.compile(rf"(?:{'|'.join(map(re.escape, KINDS))})/")
    for path, text in sources.items():
        if path.startswith(MAY_NAME_ROWS):
            continue
        for node in nodes(text):
            match node:
                case ast.Constant(value=str(words)) if begins.match(words):
                    yield (
                        f"{path}:{node.lineno} makes a key by hand, {words!r}: use its kind of "
                        f"tailrace.rows.kinds"
                    )
                case ast.Call(args=[ast.Constant(value=str()) | ast.JoinedStr(), *_]) if _takes_key(
                    node.func
                ):
                    yield (
                        f"{path}:{node.lineno} makes a key by hand: register its kind in tailrace.rows.kinds"
                    )
                case ast.Call(func=ast.Name(id="RowKind")):
                    yield f"{path}:{node.lineno} makes a kind of its own: register it in tailrace.rows.kinds"
                case ast.ImportFrom(module="tailrace.rows.kinds", names=names):
                    if any(alias.name in MAKE_KINDS for alias in names) and path not in MAY_JOIN:
                        yield (
                            f"{path}:{node.lineno} makes a key of its own: use a kind of tailrace.rows.kinds"
                        )
                case _:
                    pass


def engine_state_reads(sources: Sources) -> Iterator[str]:
    """State is read and written through the StateStore port, or a second worker on another store
    would be not seen.
    """
    for path, text in sources.items():
        if path.startswith(MAY_TOUCH_ENGINE_STATE):
            continue
        for node in nodes(text):
            if isinstance(node, ast.Attribute) and ENGINES_STATE.search(dotted(node)):
                yield (
                    f"{path}:{node.lineno} reads or writes the engine's own state: use a StateStore, or "
                    f"a view of tailrace.views"
                )


def _takes_key(function: ast.expr) -> bool:
    names = ast.unparse(function).split(".")
    return names[-1] in TAKE_KEYS or ".".join(names[-2:]) in TAKE_KEYS


RULES: Final = {
    rule.__name__: rule
    for rule in (
        module_sizes,
        function_sizes,
        constructor_sizes,
        outside_assignments,
        vague_names,
        world_questions,
        times_in_numbers,
        prints,
        broad_excepts,
        operation_headers,
        module_docstrings,
        public_docstrings,
        state_keys,
        engine_state_reads,
    )
}
