"""A shop in one table, its analytics in three places: DuckDB, PostgreSQL and a lake of Parquet files.
`tailrace dev examples/analytics/analytics.py`.

Customers, orders, lines and payments share one DynamoDB table. Each of them is a table of every warehouse,
kept in step from the stream; rows have versions, so that what comes twice, late, or after a day without the
warehouse does no harm. The star schema is a view over these tables (star.py), the same text in all places.
Places are told by ANALYTICS_DUCKDB, ANALYTICS_LAKE and ANALYTICS_POSTGRES; without the last there are two.
"""

import os
from datetime import datetime
from decimal import Decimal

from tailrace import App, Item, sinks

app = App("analytics")
shop = app.table("shop", pk="pk", sk="sk")


class Customer(Item, table=shop, pk="CUSTOMER#{id}", sk="PROFILE"):
    """Who buys."""

    id: str
    name: str
    country: str


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    """What was ordered at once."""

    id: str
    customer: str
    placed_at: datetime
    status: str = "open"


class Line(Item, table=shop, pk="ORDER#{order_id}", sk="LINE#{number:03}"):
    """A line of an order. An article was a number, until a supplier came whose articles have letters."""

    order_id: str
    number: int
    article: int | str
    quantity: Decimal
    price: Decimal


class Payment(Item, table=shop, pk="ORDER#{order_id}", sk="PAYMENT#{id}"):
    """Money that came in for an order."""

    order_id: str
    id: str
    amount: Decimal
    paid_at: datetime


TABLES: dict[str, type[Item]] = {"customers": Customer, "orders": Order, "lines": Line, "payments": Payment}
FILE = os.environ.get("ANALYTICS_DUCKDB", "shop.duckdb")
LAKE = os.environ.get("ANALYTICS_LAKE", "shop.lake")
DATABASE = os.environ.get("ANALYTICS_POSTGRES", "")
SCHEMA = os.environ.get("ANALYTICS_SCHEMA", "shop")

duckdb_tables = {name: sinks.DuckDB(FILE, name) for name in TABLES}
lake_tables = {name: sinks.ParquetLake(LAKE, name) for name in TABLES}
postgres_tables = {name: sinks.PostgreSQL(DATABASE, name, schema=SCHEMA) for name in TABLES if DATABASE}

for name, entity in TABLES.items():
    app.sink(entity, duckdb_tables[name], id=f"duckdb.{name}", batch_size=1_000, snapshot=True)
    app.sink(
        entity,
        lake_tables[name],
        id=f"lake.{name}",
        batch_size=10_000,
        batching_window_ms=10_000,
        snapshot=True,
    )
    if DATABASE:
        app.sink(entity, postgres_tables[name], id=f"postgres.{name}", batch_size=1_000, snapshot=True)
