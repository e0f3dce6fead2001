"""The shapes of DynamoDB's values.

Rules of this file: aliases only. An item inside Tailrace is always *canonical* DynamoDB JSON: numbers
normalised (`"1.0"` is `"1"`), binaries in canonical base64, sets sorted. Two items are equal exactly when
their dicts are. `values.wire` makes items canonical at the border; everyone else relies on it.
"""

from typing import Any, TypeAlias

AttributeValue: TypeAlias = dict[str, Any]
"""One typed value, e.g. `{"S": "a"}`, `{"N": "1"}`, `{"L": [{"BOOL": True}]}`: exactly one member."""

Item: TypeAlias = dict[str, AttributeValue]
"""Attribute name → attribute value."""
