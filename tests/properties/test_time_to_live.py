"""Time to live against a dictionary: whatever is written, switched, restarted and let pass, only
what is due goes.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.engine.engine import EngineSettings
from tailrace.tables.mutate import Delete, Put
from tests.unit.engine.building import START_MS, FailingStore, keep_house, log_of, opened, with_table

NAMES = st.sampled_from("abcdef")
SECONDS = st.integers(START_MS // 1_000 - 3, START_MS // 1_000 + 30)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.one_of(st.none(), SECONDS)),
        st.tuples(st.just("delete"), NAMES, st.none()),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 12_000)),
        st.tuples(st.just("switch"), st.just(""), st.none()),
        st.tuples(st.just("restart"), st.just(""), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_only_what_is_due_goes(steps: list[tuple[str, str, int | None]]) -> None:
    store = FailingStore()
    small = EngineSettings(slice_rows=3)
    engine, clock = with_table(store=store, settings=small)
    model: dict[str, int | None] = {}
    expired, is_on = 0, False
    for verb, name, value in steps:
        if verb == "put":
            more = {} if value is None else {"ttl": {"N": str(value)}}
            engine.put(Put("orders", {"pk": {"S": name}, **more}))
            model[name] = value
        elif verb == "delete":
            engine.delete(Delete("orders", {"pk": {"S": name}}))
            model.pop(name, None)
        elif verb == "pass":
            clock.advance(value or 0)
        elif verb == "switch":
            is_on = not is_on
            engine.time_to_live.update("orders", "ttl", enabled=is_on)
        else:
            engine.committer.flush()
            engine = opened(store, clock, small)
        if verb == "pass":
            keep_house(engine)
            now_ms = clock.now().wall_ms
            gone = [key for key, due in model.items() if is_on and due is not None and due * 1_000 < now_ms]
            expired += len(gone)
            for key in gone:
                del model[key]
        engine.committer.flush()
        present = {key for key in "abcdef" if engine.get("orders", {"pk": {"S": key}}) is not None}
        assert present == set(model)
    assert sum(record.by_ttl for record in log_of(engine)) == expired
