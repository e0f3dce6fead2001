"""Names of columns and of tables that every target takes.

Theory of operation: a name is the attribute's own, as far as it can be: letters, digits and `_` stay, all
else becomes `_`. Where that name is taken (by the same letters in another case, or by the target), reserved,
empty or too long, a suffix of eight hexadecimal digits of the attribute's own hash is added. So the suffix
depends on nothing but the attribute. Which of `Id` and `id` goes without one depends on which came first; of
several that come at once an attribute that is its name already is before one that had to be changed.
Rules of this file: deterministic; what was named is recorded in the schema and never named again.
"""

import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final

from msgspec import Struct

EXTRA: Final = "_extra"
OTHER: Final = "_other"
OURS: Final = re.compile(r"_?tailrace_", re.IGNORECASE)
RESERVED: Final = re.compile(rf"_extra|_other|{OURS.pattern}.*", re.IGNORECASE)
OUTSIDE: Final = re.compile(r"\W")
"""What is no letter, digit or `_`, of any script."""
SUFFIX_BYTES: Final = 4
SHORTEST: Final = 16
"""A target's names are not shorter than this: there is room for a letter and the suffix."""


class Naming(Struct, frozen=True):
    """What a target takes for a name, and how many columns.

    Shape:   `folds` makes names lower case, for targets whose unquoted names are; `reserved` are names of
             columns that the target has itself, in lower case.
    Units:   `longest` in bytes of UTF-8: 63 in PostgreSQL, 127 in Redshift. An attribute that comes when a
             table has `columns` of them stands in `_extra`.
    """

    longest: int = 63
    columns: int = 1_000
    folds: bool = False
    reserved: tuple[str, ...] = ()

    def names(
        self, attributes: Iterable[str], taken: Collection[str] = (), first: Collection[str] = ()
    ) -> dict[str, str]:
        """Attribute → name, for attributes that come at once and names that are there; `first` are those that
        are named before the others, as keys are.

        >>> Naming().names(["a.b", "Id", "id", "_extra"], taken=["ID"])
        {'Id': 'Id_b52c294f', '_extra': '_extra_d519771a', 'id': 'id_1ecc3b95', 'a.b': 'a_b'}
        """
        known = {name.casefold() for name in taken}
        names: dict[str, str] = {}
        for attribute in sorted(
            attributes, key=lambda name: (name not in first, self._plain(name) != name, name)
        ):
            name = plain = self._plain(attribute)
            salt = 0
            while not self._is_free(name, known):
                name, salt = self._suffixed(plain, attribute, salt), salt + 1
            known.add(name.casefold())
            names[attribute] = name
        return names

    def _plain(self, attribute: str) -> str:
        name = OUTSIDE.sub("_", attribute)
        return name.lower() if self.folds else name

    def _is_free(self, name: str, known: Collection[str]) -> bool:
        is_reserved = RESERVED.fullmatch(name) or name.lower() in self.reserved
        is_long = len(name.encode()) > max(self.longest, SHORTEST)
        return bool(name) and not is_reserved and not is_long and name.casefold() not in known

    def _suffixed(self, name: str, attribute: str, salt: int) -> str:
        # Salted only where another attribute is called exactly as this one with its suffix.
        hashed = blake2b(attribute.encode(), digest_size=SUFFIX_BYTES, salt=salt.to_bytes(8))
        digest = hashed.hexdigest()
        room = max(self.longest, SHORTEST) - len(digest) - 1
        begun = f"column_{name}" if OURS.match(name) else name or "column"
        return f"{begun.encode()[:room].decode(errors='ignore')}_{digest}"


EVERYWHERE: Final = Naming()
"""What PostgreSQL takes is taken everywhere."""
