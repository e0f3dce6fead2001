"""Tags of data streams: what a stream may be called beside its name.

Rules of this file: texts that no source shows are marked [U]. Source: AWS API Reference, AddTagsToStream;
AWS Developer Guide, "Tagging Your Streams".
"""

from collections.abc import Mapping
from typing import Final
from unicodedata import category

from tailrace.errors import ApiError

TAGS: Final = 50
KINDS: Final = "LNZ"
"""Letters, digits and spaces of every script."""
SIGNS: Final = "_./=+-%@:"


def check_data_tags(stream: str, tags: Mapping[str, str]) -> None:
    """Whether a stream may have all of these. Raises: ApiError."""
    if len(tags) > TAGS:
        raise ApiError(
            "InvalidArgumentException",
            f"Failed to add tags to stream {stream}: a given stream cannot have more than {TAGS} tags "
            "associated with it.",
        )
    for name, value in tags.items():
        if name.startswith("aws:"):
            raise ApiError(
                "InvalidArgumentException", f"Tag key {name} is reserved: keys must not begin with aws:."
            )
        if any(category(sign)[0] not in KINDS and sign not in SIGNS for sign in name + value):
            raise ApiError(
                "InvalidArgumentException",
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white "
                "space, _ . / = + - % @ :.",
            )
