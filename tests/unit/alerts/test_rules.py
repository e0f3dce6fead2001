"""Rules of Prometheus: valid YAML, of metrics that there are, and true past each bound and not at it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from msgspec.structs import replace

from tailrace.alerts.core.alert_rules import ALERT_RULES
from tailrace.alerts.core.rules import RuleBounds, quoted, rules_file
from tailrace.cli.main import cli
from tailrace.telemetry import METRICS

BOUNDS = RuleBounds(late=900, stuck=600, left=14_400, quiet=900, absent=300, budget=50)
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: make rules fetches it from Debian"
)
OF = '{table="orders", handler="mail", instance="w1"}'


def rules(text: str) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(text)["groups"]
    assert group["name"] == "tailrace"
    listed: list[dict[str, Any]] = group["rules"]
    return listed


def test_the_file_is_yaml_and_has_every_rule_whole() -> None:
    listed = rules(rules_file(BOUNDS))
    assert [rule["alert"] for rule in listed] == [rule.name for rule in ALERT_RULES]
    for rule in listed:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["next"].startswith("tailrace ")
        assert "bounds" not in str(rule)
    assert listed[-1]["for"] == "300s"


def test_rules_name_metrics_that_are_exposed_with_labels_that_they_have() -> None:
    known = {metric.name: set(metric.labels) for metric in METRICS}
    for rule in ALERT_RULES:
        names = re.findall(r"tailrace_\w+", rule.expression)
        assert names, rule.name
        for name in names:
            assert name in known, (rule.name, name)
        for labels in re.findall(r"by \(([\w, ]+)\)", rule.expression):
            assert set(labels.split(", ")) <= set.intersection(*(known[name] for name in names)), rule.name


def test_a_text_with_quotes_and_newlines_stays_one_text() -> None:
    text = 'a "b"\n: {c} \\ {{ $value }}'
    assert yaml.safe_load(f"x: {quoted(text)}") == {"x": text}


def test_the_command_prints_them_or_writes_a_file_with_the_bounds_that_are_said(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["generate", "alerts"])
    assert (printed.exit_code, printed.output) == (0, rules_file(replace(BOUNDS, budget=None)))
    assert "TailraceCost" not in printed.output
    bounded = CliRunner().invoke(cli, ["generate", "alerts", "--budget", "12.5", "--errors", "2"])
    assert "* 2628000 > 12.5" in bounded.output
    assert "[900s])) > 0.02" in bounded.output
    out = tmp_path / "rules.yml"
    said = CliRunner().invoke(cli, ["generate", "alerts", "--late", "5m", "--quiet", "1h", "--out", str(out)])
    assert said.exit_code == 0, said.output
    expressions = {rule["alert"]: rule["expr"] for rule in rules(out.read_text())}
    assert expressions["TailraceLate"].endswith("> 300")
    assert "[3600s]" in expressions["TailraceDeadLettersGrew"]
    assert CliRunner().invoke(cli, ["generate", "alerts", "--late", "soon"]).exit_code == 2


# ---- by Prometheus' own tool -------------------------------------------------------------------------------


def canary(name: str, series: dict[str, str], at: str, *, holds: bool) -> tuple[Any, ...]:
    return (name, series, at, holds)


LAG, LEFT = f"tailrace_lag_seconds{OF}", f"tailrace_retention_left_seconds{OF}"
MOVED = f"tailrace_last_progress_timestamp_seconds{OF}"
AWAY, END = 'tailrace_unreachable_seconds{what="', '"}'
STILL = 'tailrace_snapshot_still_seconds{handler="copy"}'
FAILED = 'tailrace_snapshot_state{handler="copy",state="failed"}'
UNSAVED = 'tailrace_checkpoint_failures_total{handler="mail"}'
ERRORS, CALLS = 'tailrace_errors_total{handler="mail"}', 'tailrace_invocations_total{handler="mail"}'
EACH_BOUND = [
    canary("TailraceLate", {LAG: "900x30"}, "5m", holds=False),
    canary("TailraceLate", {LAG: "901x30"}, "5m", holds=True),
    canary("TailraceTrimNear", {LEFT: "14400x30"}, "5m", holds=False),
    canary("TailraceTrimNear", {LEFT: "14399x30"}, "5m", holds=True),
    canary("TailraceStuck", {LAG: "601x30", MOVED: "0x30"}, "10m", holds=False),  # still for 600 s
    canary("TailraceStuck", {LAG: "601x30", MOVED: "0x30"}, "11m", holds=True),
    canary("TailraceStuck", {LAG: "600x30", MOVED: "0x30"}, "11m", holds=False),  # what waits is young
    canary("TailraceGap", {'tailrace_open_gaps{handler="mail"}': "0x30"}, "5m", holds=False),
    canary("TailraceGap", {'tailrace_open_gaps{handler="mail"}': "1x30"}, "5m", holds=True),
    canary("TailraceEvacuating", {'tailrace_evacuating_shards{handler="mail"}': "0x30"}, "5m", holds=False),
    canary("TailraceEvacuating", {'tailrace_evacuating_shards{handler="mail"}': "1x30"}, "5m", holds=True),
    canary("TailraceDeadLettersGrew", {'tailrace_dead_letters{handler="mail"}': "7x30"}, "20m", holds=False),
    canary(
        "TailraceDeadLettersGrew", {'tailrace_dead_letters{handler="mail"}': "7x10 8x20"}, "20m", holds=True
    ),
    canary("TailraceTwoOwners", {'tailrace_contested_shards{handler="mail"}': "0x30"}, "5m", holds=False),
    canary("TailraceTwoOwners", {'tailrace_contested_shards{handler="mail"}': "1x30"}, "5m", holds=True),
    canary("TailraceSnapshotStuck", {STILL: "600x30"}, "5m", holds=False),
    canary("TailraceSnapshotStuck", {STILL: "601x30"}, "5m", holds=True),
    canary("TailraceSnapshotFailed", {FAILED: "0x30"}, "5m", holds=False),
    canary("TailraceSnapshotFailed", {FAILED: "1x30"}, "5m", holds=True),
    canary("TailraceUnbalanced", {'tailrace_unbalanced_changes{handler="mail"}': "0x30"}, "5m", holds=False),
    canary("TailraceUnbalanced", {'tailrace_unbalanced_changes{handler="mail"}': "1x30"}, "5m", holds=True),
    canary(
        "TailraceStateUnreachable",
        {f"{AWAY}state{END}": "60x30", f"{AWAY}stream{END}": "99x30"},
        "5m",
        holds=False,
    ),
    canary("TailraceStateUnreachable", {f"{AWAY}state{END}": "61x30"}, "5m", holds=True),
    canary("TailraceCheckpointsFail", {UNSAVED: "7x60"}, "40m", holds=False),
    canary("TailraceCheckpointsFail", {UNSAVED: "7x5 8x60"}, "40m", holds=False),  # it has failed once
    canary("TailraceCheckpointsFail", {UNSAVED: "0+1x60"}, "40m", holds=True),
    canary("TailraceErrors", {ERRORS: "0+1x60", CALLS: "0+100x60"}, "40m", holds=False),
    canary("TailraceErrors", {ERRORS: "0+2x60", CALLS: "0+100x60"}, "40m", holds=True),
    canary(
        "TailraceParkedOld", {'tailrace_parked_oldest_seconds{handler="mail"}': "3600x30"}, "5m", holds=False
    ),
    canary(
        "TailraceParkedOld", {'tailrace_parked_oldest_seconds{handler="mail"}': "3601x30"}, "5m", holds=True
    ),
    # 43.8 a month
    canary("TailraceCost", {"tailrace_source_cost_usd_total": "0+0.001x90"}, "80m", holds=False),
    canary("TailraceCost", {"tailrace_source_cost_usd_total": "0+0.0012x90"}, "80m", holds=True),  # 52.6
    canary("TailraceAbsent", {'tailrace_build_info{version="1"}': "1x30"}, "20m", holds=False),
    canary("TailraceAbsent", {"up": "0x30"}, "4m", holds=False),
    canary("TailraceAbsent", {"up": "0x30"}, "5m", holds=True),
]


def test_every_rule_has_a_canary_that_holds_and_one_that_does_not() -> None:
    for rule in ALERT_RULES:
        assert {holds for name, _, _, holds in EACH_BOUND if name == rule.name} == {True, False}, rule.name


@needs_promtool
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules_file(BOUNDS))
    said = subprocess.run(
        [str(PROMTOOL), "check", "rules", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{len(ALERT_RULES)} rules found" in said.stdout


@needs_promtool
def test_each_rule_holds_past_its_bound_and_not_at_it_as_prometheus_evaluates_it(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules_file(BOUNDS))
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": 1}] if holds else [],
                }
            ],
        }
        for name, series, at, holds in EACH_BOUND
    ]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    said = subprocess.run(
        [str(PROMTOOL), "test", "rules", "test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
