"""The program of the README: a table, a handler, two writes, and what the handler saw.
`python examples/hello.py`.
"""

from tailrace import App, Change
from tailrace.testing import World

app = App("hello")
greetings = app.table("greetings", pk="id")


@app.on(greetings)
def greet(change: Change) -> None:
    print(change.event_name, change.new)


with World(app) as world:
    world.put(greetings, {"id": "1", "text": "hello, stream"})
    world.put(greetings, {"id": "1", "text": "hello again"})
    world.settle()
