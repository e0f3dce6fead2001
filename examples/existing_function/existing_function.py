"""An existing Lambda function behind a table, with the settings of its template.
`tailrace dev …/existing_function.py`.

The settings have AWS's names and AWS's defaults: this mapping does what Lambda's would do, an unknown
currency blocks what comes after it in its shard until its three retries are used up. The same function as a
handler of Tailrace would let the others go on.
"""

from orders_function import lambda_handler

from tailrace import App

app = App("existing")
orders = app.table("orders", pk="id")

app.function(
    lambda_handler,
    orders,
    BatchSize=100,
    MaximumRetryAttempts=3,
    BisectBatchOnFunctionError=True,
    FunctionResponseTypes=["ReportBatchItemFailures"],
)
