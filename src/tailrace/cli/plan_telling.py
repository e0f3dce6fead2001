"""What a plan says: a table of the settings, a chart of their lags, why, what to do, and what it costs.

Rules of this file: words and columns; no decision. Nothing here depends on a terminal but its width. Called
by plan.py.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from tailrace.app.mapping import HandlerMapping
from tailrace.aws.prices import AS_OF
from tailrace.cli.changes import counted, printable
from tailrace.cli.charts import bar, sparkline
from tailrace.cli.status import aligned
from tailrace.planning.core.bottlenecks import (
    Bottleneck,
    Knee,
    PlannedCase,
    judge,
    knees,
    needed_at_once,
    recommended,
)
from tailrace.planning.core.costs import PlanCost, cost_of
from tailrace.planning.core.measures import PlanFigures
from tailrace.planning.core.quantities import shown_us
from tailrace.planning.run.planned import PlannedPlace

OVER_TIME: Final = 24
"""Cells of a line of the lag over time."""
LEAST_BAR, MOST_BAR = 8, 40
OWN: Final = "as it is"


class PlanAnswer(Struct, frozen=True):
    """A plan that is over. Shape: `notes` are what recorded traffic does not know."""

    mapping: HandlerMapping
    figures: Sequence[PlanFigures]
    case: PlannedCase
    place: PlannedPlace
    prices: Mapping[str, float]
    memory_mb: int
    seed: int
    notes: tuple[str, ...]

    def cost(self, figures: PlanFigures) -> PlanCost:
        """What a setting costs a month."""
        return cost_of(figures, self.prices, self.memory_mb, self.place.workers)


# ---- as JSON -----------------------------------------------------------------------------------------------


def value(answer: PlanAnswer) -> dict[str, Any]:
    """All of it. Units: milliseconds, US dollars a month."""
    traffic = answer.case.traffic
    best = recommended(answer.figures)
    return {
        "handler": answer.mapping.id,
        "table": answer.mapping.table.name,
        "on": answer.place.kind,
        "workers": answer.place.workers,
        "traffic": {
            "text": traffic.text,
            "changes": traffic.changes,
            "refused": len(traffic.refused),
            "seconds": traffic.length_us / 1_000_000,
            "hottest": traffic.hottest_name,
            "hottest_changes": traffic.hottest_count,
            "seed": answer.seed,
            "notes": list(answer.notes),
        },
        "duration": answer.case.times.text,
        "settings": [_setting_value(answer, figures) for figures in answer.figures],
        "stops_helping": [_knee_value(knee) for knee in knees(answer.figures, answer.case)],
        "recommended": None if best is None else dict(best.setting.values),
        "prices": dict(answer.prices),
    }


def _setting_value(answer: PlanAnswer, figures: PlanFigures) -> dict[str, Any]:
    cost, verdict = answer.cost(figures), judge(figures, answer.case)
    mean, median, largest = figures.batches
    reading, waiting, handling = figures.parts
    return {
        "values": dict(figures.setting.values),
        "shards": figures.setting.shards,
        "lag_ms": {
            "p50": figures.lag_p50 / 1_000,
            "p99": figures.lag_p99 / 1_000,
            "end": figures.lag_end / 1_000,
            "reading": reading / 1_000,
            "waiting": waiting / 1_000,
            "handling": handling / 1_000,
            "over_time": [lag / 1_000 for lag in figures.lag_series],
        },
        "grows": figures.grows,
        "growth_s_per_s": round(figures.growth, 6),
        "handled": figures.handled,
        "left": figures.left,
        "changes_per_s": round(figures.per_second, 3),
        "concurrency": {
            "mean": round(figures.concurrency, 4),
            "peak": figures.peak,
            "allowed": figures.setting.allowed,
            "needed": round(needed_at_once(figures), 4),
        },
        "busiest_shard": {state: round(share, 4) for state, share in figures.waits.items()},
        "hot_item": {
            "p99_ms": figures.hot_p99 / 1_000,
            "others_p99_ms": figures.others_p99 / 1_000,
            "at_handler": round(figures.hot_busy, 4),
        },
        "invocations": figures.invocations,
        "batch": {"mean": round(mean, 3), "p50": median, "largest": largest},
        "reads": figures.reads,
        "checkpoints": figures.checkpoints,
        "usd_per_month": {
            "lambda": round(cost.function, 4),
            "polling": round(cost.polling, 4),
            "state": round(cost.state, 4),
            "machines": round(cost.machines, 4),
            "worker": round(cost.worker, 4),
        },
        **_verdict_value(verdict),
    }


def _verdict_value(verdict: Bottleneck) -> dict[str, str]:
    return {"cause": verdict.cause, "reason": verdict.reason, "advice": verdict.advice}


def _knee_value(knee: Knee) -> dict[str, Any]:
    return {
        "setting": knee.name,
        "at": knee.value,
        "beside": knee.beside,
        "may_help_beyond": knee.is_last and knee.verdict.cause == "concurrency",
        **_verdict_value(knee.verdict),
    }


# ---- in words ----------------------------------------------------------------------------------------------


def lines(answer: PlanAnswer) -> Iterator[str]:
    """All of it, for people."""
    yield from _heading(answer)
    yield ""
    yield from _tables(answer)
    yield ""
    yield from _chart(answer)
    yield ""
    yield from _words(answer)
    yield from _cost_words(answer)


def _heading(answer: PlanAnswer) -> Iterator[str]:
    mapping, case = answer.mapping, answer.case
    traffic, settings = case.traffic, answer.figures[0].setting.settings
    seconds = shown_us(traffic.length_us)
    shards = sorted({figures.setting.shards for figures in answer.figures})
    over = "-".join(f"{count:,}" for count in dict.fromkeys((shards[0], shards[-1])))
    workers = counted(answer.place.workers, "worker")
    where = {"dev": "in dev", "worker": f"by {workers}", "lambda": "on Lambda"}[answer.place.kind]
    noun = "shard" if shards == [1] else "shards"
    yield f"{mapping.id} ← {mapping.table.name}: order={settings.order!r}, {where}, {over} {noun}"
    size = f", {traffic.item_bytes:,} bytes an item" if traffic.item_bytes else ""
    yield f"traffic   {printable(traffic.text)}{size}: {counted(traffic.changes, 'change')} in {seconds}"
    share = traffic.hottest_count / traffic.changes
    yield f"hottest   {printable(traffic.hottest_name)}: {share:.1%} of the changes"
    if traffic.refused:
        yield f"filtered  {counted(len(traffic.refused), 'change')} that the handler does not want"
    yield f"handler   {case.times.text}"
    yield from (f"note      {printable(note)}" for note in answer.notes)


def _name(figures: PlanFigures) -> list[str]:
    return [f"{value:,}" for value in figures.setting.values.values()] or [OWN]


def _tables(answer: PlanAnswer) -> Iterator[str]:
    """What happens, then what it costs: two tables, for terminals are not wide."""
    names = [name.upper() for name in answer.figures[0].setting.values] or ["SETTING"]
    happens = ["LAG P50", "P99", "AT END", "GROWS", "CHANGES/S", "CALLS/S", "BATCH", "AT ONCE", "PEAK", "OF"]
    rows = [(*_name(figures), *_happens(figures)) for figures in answer.figures]
    yield from aligned([(*names, *happens), *rows])
    yield ""
    costs = ["HOT ITEM P99", "OTHERS P99", "LAMBDA $", "READS $", "STATE $", "WORKER $"]
    rows = [(*_name(figures), *_costs(answer, figures)) for figures in answer.figures]
    yield from aligned([(*names, *costs), *rows])


def _happens(figures: PlanFigures) -> list[str]:
    seconds = figures.length_us / 1_000_000
    return [
        shown_us(figures.lag_p50),
        shown_us(figures.lag_p99),
        shown_us(figures.lag_end),
        f"+{shown_us(figures.growth * 60_000_000)}/min" if figures.grows else "no",
        f"{figures.per_second:,.0f}",
        f"{figures.invocations / seconds:,.1f}",
        f"{figures.batches[0]:,.1f}",
        f"{figures.concurrency:,.2f}",
        f"{figures.peak:,}",
        f"{figures.setting.allowed:,}",
    ]


def _costs(answer: PlanAnswer, figures: PlanFigures) -> list[str]:
    cost = answer.cost(figures)
    return [
        shown_us(figures.hot_p99),
        shown_us(figures.others_p99),
        f"{cost.function:,.2f}",
        f"{cost.polling:,.2f}" if figures.reads else "-",
        f"{cost.state:,.2f}",
        f"{cost.worker:,.2f}",
    ]


def _chart(answer: PlanAnswer) -> Iterator[str]:
    """A bar for each lag, and a line of how it went."""
    texts = [figures.setting.text or OWN for figures in answer.figures]
    width = max(map(len, texts))
    left = shutil.get_terminal_size((100, 24)).columns - width - OVER_TIME - 16
    cells = min(max(left, LEAST_BAR), MOST_BAR)
    most = Decimal(max(figures.lag_p99 for figures in answer.figures))
    yield f"{'lag p99':<{width + cells + 13}}over time"
    for text, figures in zip(texts, answer.figures, strict=True):
        drawn = bar(Decimal(figures.lag_p99), most, cells)
        yield f"{text:<{width}}  {drawn:<{cells}} {shown_us(figures.lag_p99):<9} {_went(figures)}"


def _went(figures: PlanFigures) -> str:
    """The lag over time: the largest of each stretch."""
    series = figures.lag_series
    step = max(1, len(series) // OVER_TIME)
    stretches = [max(series[place : place + step]) for place in range(0, len(series), step)][:OVER_TIME]
    return sparkline([Decimal(lag) for lag in stretches])


def _words(answer: PlanAnswer) -> Iterator[str]:
    told = knees(answer.figures, answer.case)
    for knee in told:
        beside = f" ({knee.beside})" if knee.beside else ""
        if knee.is_last:
            yield f"{knee.name}{beside}: more helps up to {knee.value}, the most that was tried"
        else:
            yield f"{knee.name}{beside}: beyond {knee.value} more does not help"
        yield from _verdict(knee.verdict)
    if not told:
        for figures in answer.figures:
            yield f"{figures.setting.text or OWN}: {'falls behind' if figures.grows else 'keeps up'}"
            yield from _verdict(judge(figures, answer.case))
    best = recommended(answer.figures)
    if best is None:
        yield "none of these keeps up: changes come faster than they are handled"
    elif len(answer.figures) > 1:
        lag = shown_us(best.lag_p99)
        yield (
            f"choose    {best.setting.text}: it keeps up with a lag of {lag} (p99), and has the fewest "
            "batches at once of those near the best"
        )


def _verdict(verdict: Bottleneck) -> Iterator[str]:
    yield f"  why     {verdict.reason}"
    if verdict.advice:
        yield f"  do      {verdict.advice}"


def _cost_words(answer: PlanAnswer) -> Iterator[str]:
    used = ", ".join(f"{name} {price:g}" for name, price in answer.prices.items())
    yield f"costs     US dollars a month of this traffic, at {used}"
    yield f"          examples of us-east-1 as of {AS_OF}, without free tiers; --price NAME=USD says another"
    yield "          lambda: calls and gigabyte-seconds; worker: reads, state and the machines it runs on"
