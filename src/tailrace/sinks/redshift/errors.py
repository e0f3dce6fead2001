"""What Redshift's errors mean to a sink: a row's own fault, or an outage, and what to do next.

Theory of operation: most of its errors have one SQLSTATE, XX000, and the Data API tells only words. So they
are told apart by words that the documentation has; what is not known is an outage, for a change must not be
given up for an error that says nothing about it.
Rules of this file: pure. Sources: Database Developer Guide, "Load error reference", "Serializable isolation",
"Troubleshooting data loads"; PostgreSQL's words where Redshift has kept them.
"""

import re
from typing import Final

from tailrace.errors import Refused, SinkError, Unavailable

OF_CONTENT: Final = (
    "stl_load_errors",
    "sys_load_error_detail",
    "value too long for",
    "numeric data overflow",
    "numeric field overflow",
    "out of range",
    "invalid input syntax",
    "invalid json",
    "super value exceeds",
    "string literal within super",
    "invalid utf8",
    "invalid byte sequence",
    "not valid utf-8",
)
"""Words of errors that are about what a row has in it."""
HINTS: Final = (
    (
        "serializable isolation violation|could not serialize|conflict with concurrent transaction",
        "another transaction changed the same tables; it is tried again",
    ),
    (
        "s3serviceexception:access denied|not authorized to assume|not authorized to get credentials",
        "let the IAM role that the sink names be attached to the warehouse, and read (s3:GetObject, "
        "s3:ListBucket) the staging prefix",
    ),
    (
        "s3serviceexception|the specified s3 prefix",
        "see that the staging bucket is in the warehouse's region, and that its role can read the prefix",
    ),
    (
        "permission denied|must be owner",
        "GRANT CREATE, USAGE ON SCHEMA to the sink's user, and let it own its tables",
    ),
    ("schema .*does not exist", "CREATE SCHEMA, or name another one: sinks.Redshift(…, schema=…)"),
    (
        "depends? on",
        "the sink's view gets new columns: make your own views of it WITH NO SCHEMA BINDING, or DROP them "
        "first",
    ),
    ("password authentication failed", "correct user and password in the URL or in ~/.pgpass"),
    ("disk full", "make room in the warehouse; nothing of the batch was written"),
    (
        "relation .*does not exist",
        "something of the sink's is gone: DROP its other tables and its rows in tailrace_schemas, too",
    ),
    ("already exists", "a table or view of this name is not the sink's: name another table or schema"),
)
"""Of an outage: what its words match, and what to do."""


def failure(place: str, said: str) -> SinkError:
    """Refused for a row's own content, else an outage.

    Shape:   `said` are Redshift's words, on one line.
    """
    lower = said.lower()
    if any(words in lower for words in OF_CONTENT) and "s3serviceexception" not in lower:
        return Refused(f"{place}: {said}")
    return Unavailable(f"{place}: {said}", hint=_hint(lower))


def _hint(lower: str) -> str:
    for pattern, hint in HINTS:
        if re.search(pattern, lower):
            return hint
    return "nothing of the batch was written; it is tried again"
