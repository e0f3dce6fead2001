"""Statements of Redshift as its documentation has them: what is none of these is not sent.

Rules of this file: written from the Database Developer Guide, "SQL commands", one form a command, and no more
of a form than Tailrace uses. It knows nothing of how the statements are made.
"""

import re
from typing import Final

NAME: Final = r'(?:"[^"]{1,127}"|[a-z_][a-z0-9_]{0,126})'
PLACE: Final = rf"(?:{NAME}\.)?{NAME}"
TYPE: Final = (
    r"(?:BOOLEAN|BIGINT|SUPER|DECIMAL\(38,(?:[12]?\d|3[0-7])\)|VARCHAR\((?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|"
    r"65[0-4]\d{2}|655[0-2]\d|6553[0-5])\)|VARBYTE\([1-9]\d{0,6}\))"
)
TEXT: Final = r"'(?:[^'\\]|'')*'"
VALUE: Final = rf"(?:{TEXT}|-?\d+|NULL|TRUE|FALSE|FROM_VARBYTE\(FROM_HEX\('[0-9a-f]*'\), 'utf-8'\))"
COLUMN: Final = rf"{NAME} {TYPE}(?: NOT NULL)?"
CONDITION: Final = r"(?:(?!;| RETURNING | FOR UPDATE| ON CONFLICT ).)+"
STAGE: Final = r"tailrace_staged_\d+"
OF_STAGE: Final = rf"(?:{STAGE}\.{NAME}|JSON_PARSE\({STAGE}\.{NAME}\)|FROM_HEX\({STAGE}\.{NAME}\))"


def listed(one: str) -> str:
    """One or more, with commas between them."""
    return rf"{one}(?:, {one})*"


FORMS: Final = {
    "BEGIN": "BEGIN",
    "COMMIT": "COMMIT",
    "ROLLBACK": "ROLLBACK",
    "LOCK": rf"LOCK {PLACE}",
    "CREATE TABLE": (
        rf"CREATE TABLE (?:IF NOT EXISTS )?{PLACE} \({listed(COLUMN)}(?:, PRIMARY KEY \({listed(NAME)}\))?\)"
        rf"(?: DISTKEY \({NAME}\) SORTKEY \({NAME}\))?"
    ),
    "CREATE TABLE of a key": (
        rf"CREATE TABLE IF NOT EXISTS {PLACE} \({NAME} {TYPE} PRIMARY KEY, {listed(COLUMN)}\)"
    ),
    "CREATE TEMP TABLE": rf"CREATE TEMP TABLE {STAGE} \({listed(COLUMN)}\) DISTKEY \({NAME}\)",
    "DROP TABLE": rf"DROP TABLE (?:IF EXISTS )?{PLACE}",
    "ALTER TABLE ADD COLUMN": rf"ALTER TABLE {PLACE} ADD COLUMN {COLUMN}",
    "ALTER TABLE RENAME": rf"ALTER TABLE {PLACE} RENAME TO {NAME}",
    "CREATE VIEW": (
        rf"CREATE VIEW {PLACE} AS SELECT "
        rf"{listed(rf'(?:{NAME}|TIMESTAMP .epoch. [+] {NAME} [*] INTERVAL .1 microsecond. AS {NAME})')} "
        rf"FROM {PLACE} WHERE NOT {NAME}"
    ),
    "DROP VIEW": rf"DROP VIEW {PLACE}",
    "GRANT": rf"GRANT [A-Z]+ ON {PLACE} TO {listed(rf'(?:PUBLIC|(?:ROLE |GROUP )?{NAME})')}",
    "COPY from columnar data formats": (
        rf"COPY {STAGE} FROM 's3://[^']+' IAM_ROLE (?:default|'arn:[^']+') FORMAT AS PARQUET STATUPDATE OFF"
    ),
    "COPY from JSON": (
        rf"COPY {STAGE} FROM 's3://[^']+' IAM_ROLE (?:default|'arn:[^']+') FORMAT AS JSON 'auto' GZIP "
        rf"NULL AS {TEXT} COMPUPDATE OFF STATUPDATE OFF"
    ),
    "DELETE": rf"DELETE FROM {PLACE} WHERE {CONDITION}",
    "DELETE USING": (
        rf"DELETE FROM {STAGE} USING {PLACE} WHERE {STAGE}\.{NAME} = {NAME}\.{NAME} "
        rf"AND {NAME}\.{NAME} >= {STAGE}\.{NAME}"
    ),
    "MERGE": (
        rf"MERGE INTO {PLACE} USING {STAGE} ON {NAME}\.{NAME} = {STAGE}\.{NAME} "
        rf"WHEN MATCHED THEN UPDATE SET {listed(rf'{NAME} = {OF_STAGE}')} "
        rf"WHEN NOT MATCHED THEN INSERT \({listed(NAME)}\) VALUES \({listed(OF_STAGE)}\)"
    ),
    "INSERT": rf"INSERT INTO {PLACE} \({listed(NAME)}\) VALUES \({listed(VALUE)}\)",
    "INSERT of a query": rf"INSERT INTO {PLACE} \({listed(NAME)}\) SELECT {CONDITION}",
    "UPDATE": rf"UPDATE {PLACE} SET {CONDITION}",
    "SELECT": rf"SELECT {CONDITION}",
}
COMPILED: Final = {command: re.compile(form, re.DOTALL) for command, form in FORMS.items()}


def command_of(statement: str) -> str:
    """Which form a statement has. Raises: AssertionError for one that has none."""
    for command, form in COMPILED.items():
        if form.fullmatch(statement):
            return command
    raise AssertionError(f"Redshift's documentation has no such statement: {statement}")
