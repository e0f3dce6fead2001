"""A source's tree and its nodes, parsed once for all rules of a file of tests: parsing was most of their
time.

Rules of this file: nobody changes a tree. What is kept is let go when the file of tests has ended
(conftest.py), because the trees of all sources are large.
"""

import ast
from functools import cache


@cache
def tree(text: str) -> ast.Module:
    """What a source says. Raises: SyntaxError."""
    return ast.parse(text)


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """Every node of a source, as `ast.walk` gives them. Raises: SyntaxError."""
    return tuple(ast.walk(tree(text)))


def dotted(node: ast.AST) -> str:
    """A name with what is asked of it; "?" for what no name begins. Quicker than `ast.unparse`.

    >>> [dotted(ast.parse(text).body[0].value) for text in ("a.b.c", "a().b", "a")]
    ['a.b.c', '?.b', 'a']
    """
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
    return "?"


def forget() -> None:
    """Let all of it go."""
    tree.cache_clear()
    nodes.cache_clear()
