"""How handlers of a worker stand, as its readers know it."""

from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.runtime.driver import ReadSoFar
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.sight import Sight
from tailrace.runtime.watermark import MappingName
from tailrace.server.observe import HandlerTotals, Observed, ShardProgress, samples
from tailrace.server.readers import UNLISTED_MS, declared_mappings, readers_progress
from tailrace.telemetry import METRICS
from tailrace.views.reading import ViewSources
from tests.unit.server.admin import FixedWorker, Ground, live

MAIL = MappingName("app", "mail", "shop")


class NoLog:
    """A log that nothing may be asked of."""

    def __getattr__(self, name: str) -> None:
        raise AssertionError(f"{name} was asked of the stream")


def reading_of(ground: Ground, worker: FixedWorker | None) -> ViewSources:
    return ViewSources(ground.subject.reading.state, NoLog(), ground.clock, worker)  # type: ignore[arg-type]


def test_a_shard_that_is_read_here_is_told_without_asking_its_stream() -> None:
    ground = Ground()
    sight = Sight(ground.clock, Pacer())
    sight.listed("shop", "")
    written_ms = ground.clock.now().wall_ms
    worker = FixedWorker(replace(live(ground), read=ReadSoFar(written_ms, written_ms, 0)))
    ground.clock.advance(3_000)
    (progress,) = readers_progress(reading_of(ground, worker), sight, MAIL)
    shard = ground.shards()[0].shard_id
    assert progress == ShardProgress("mail", "shop", shard, 3_000, 3_000, lag_ms=3_000)


def test_a_handler_without_a_shard_here_is_as_late_as_the_listing_is_old() -> None:
    ground = Ground()
    sight = Sight(ground.clock, Pacer())
    ground.clock.advance(7_000)
    (progress,) = readers_progress(reading_of(ground, None), sight, MAIL)
    assert (progress.shard, progress.oldest_unsettled_ms, progress.lag_ms) == ("", None, 7_000)


def test_a_listing_that_is_old_counts_beside_reads_that_succeed() -> None:
    ground = Ground()
    pacer = Pacer()
    sight = Sight(ground.clock, pacer)
    worker = FixedWorker(live(ground))
    ground.clock.advance(UNLISTED_MS)
    pacer.page(
        ("", ground.shards()[0].shard_id), 0, has_records=False, now_ms=ground.clock.now().monotonic_ms
    )
    assert [shard.lag_ms for shard in readers_progress(reading_of(ground, worker), sight, MAIL)] == [0]
    ground.clock.advance(1)
    lags = [progress.lag_ms for progress in readers_progress(reading_of(ground, worker), sight, MAIL)]
    assert lags == [1, UNLISTED_MS + 1]


def test_every_handler_that_is_declared_has_lag_and_retention_left_whatever_is_known() -> None:
    app = App("app")
    orders = app.table("shop", pk="pk")
    app.on(orders, id="mail")(print)
    app.on(orders, id="audit")(print)
    names = declared_mappings(app)
    assert [(name.app, name.handler, name.table) for name in names] == [
        ("app", "mail", "shop"),
        ("app", "audit", "shop"),
    ]
    observed = Observed("1", handlers=[HandlerTotals(name.handler, name.table) for name in names])
    for metric in METRICS:
        if metric.name in ("tailrace_lag_seconds", "tailrace_retention_left_seconds"):
            assert {labels for labels, _ in samples(metric, observed)} == {
                ("shop", "mail"),
                ("shop", "audit"),
            }


def test_an_open_gap_is_in_lag_and_nothing_of_retention_is_left() -> None:
    observed = Observed("1", handlers=[HandlerTotals("mail", "shop", gap_age_ms=86_400_001)])
    values = {metric.name: dict(samples(metric, observed)) for metric in METRICS[:3]}
    assert values["tailrace_lag_seconds"] == {("shop", "mail"): 86_400.001}
    assert values["tailrace_retention_left_seconds"] == {("shop", "mail"): 0}


def test_the_age_of_a_look_uses_up_retention_to_the_bound() -> None:
    for lag_ms, left in ((0, 10), (9_999, 0.001), (10_000, 0), (10_001, 0)):
        progress = ShardProgress("mail", "shop", "s", None, 0, lag_ms=lag_ms)
        observed = Observed("1", progress=[progress], retention_ms=10_000)
        (metric,) = [metric for metric in METRICS if metric.name == "tailrace_retention_left_seconds"]
        assert list(samples(metric, observed)) == [(("shop", "mail"), left)]
