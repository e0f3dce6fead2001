"""AWS's own models of the services that Tailrace answers for: what operations there are, and what they take.

Rules of this package: a module a service, made by `python -m tests.generated.shapes`.
Shape:   an operation has its method, path and status (of rest-json) and the name of its input, if it has one. A shape is as
         botocore's model has it, without prose: `members`, `member`, `key` and `value` name other shapes; `places` tells
         which members do not stand in the body, and where they do.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Operations: TypeAlias = Mapping[str, Mapping[str, Any]]
Shapes: TypeAlias = Mapping[str, Mapping[str, Any]]
