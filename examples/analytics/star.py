"""The star schema and its questions, asked in each of the three places: `python star.py "SELECT …"`.

Facts and dimensions are SELECTs over the tables that the sinks keep. The tables have the same names and
columns everywhere, so the text is the same. An article whose number became a text is in `_extra`, as DynamoDB
JSON: the view takes it from there. Amounts get one scale: DuckDB cuts digits where a UNION has two.
"""

import sys
from typing import Any

from analytics import DATABASE, SCHEMA, TABLES, duckdb_tables, lake_tables

STAR = """
dim_customer AS (SELECT id AS customer, name, country FROM customers),
fact_line AS (
    SELECT o.customer, substr(o.placed_at, 1, 10) AS day, l.quantity,
           CAST(l.quantity * l.price AS DECIMAL(18, 4)) AS amount,
           coalesce(CAST(l.article AS VARCHAR), (l._extra -> 'article') ->> 'S') AS article
    FROM lines l JOIN orders o ON o.id = l.order_id WHERE o.status <> 'cancelled'
),
fact_payment AS (
    SELECT o.customer, substr(p.paid_at, 1, 10) AS day, CAST(p.amount AS DECIMAL(18, 4)) AS amount
    FROM payments p JOIN orders o ON o.id = p.order_id
)
"""
QUESTIONS = {
    "revenue by country": """
        SELECT country, sum(amount) FROM fact_line JOIN dim_customer USING (customer)
        GROUP BY country ORDER BY country""",
    "pieces by article": "SELECT article, sum(quantity) FROM fact_line GROUP BY article ORDER BY article",
    "who owes": """
        SELECT name, sum(due) FROM (
            SELECT customer, amount AS due FROM fact_line
            UNION ALL SELECT customer, -amount FROM fact_payment
        ) AS moves JOIN dim_customer USING (customer)
        GROUP BY name HAVING sum(due) <> 0 ORDER BY name""",
}
Rows = list[tuple[Any, ...]]


def in_duckdb(question: str) -> Rows:
    """Ask beside the app: DuckDB lets no other process open the file (`tailrace sql` asks from outside)."""
    return duckdb_tables["orders"].query(f"WITH {STAR} {question}")[1]


def in_postgres(question: str) -> Rows:
    """Ask PostgreSQL, as any client does."""
    import psycopg

    with psycopg.connect(DATABASE, options=f"-c search_path={SCHEMA}") as connection:
        return connection.execute(f"WITH {STAR} {question}".encode()).fetchall()


def in_lake(question: str) -> Rows:
    """Ask the files of the lake, with DuckDB for its SQL. Each table's manifest says which files."""
    import duckdb

    tables = ", ".join(f"{name} AS ({lake_tables[name].sql()})" for name in TABLES)
    with duckdb.connect() as connection:
        return connection.execute(f"WITH {tables}, {STAR} {question}").fetchall()


PLACES = {"duckdb": in_duckdb, "lake": in_lake, **({"postgres": in_postgres} if DATABASE else {})}

if __name__ == "__main__":
    for place, ask in PLACES.items():
        for title, question in QUESTIONS.items():
            print(f"{place}, {title}: {ask(sys.argv[1] if len(sys.argv) > 1 else question)}")
