"""Rules of Prometheus for everything that alerts tell, from the metrics of telemetry.py.

Rules of this file: pure; a rule names metrics that telemetry lists, and nothing else. YAML is written by
hand: each text is a JSON string, which YAML reads as it is. Called by cli/generate.py. Stands alone
because what is written is a format of others. Source: Prometheus, "Alerting rules".
"""

from typing import Final

import orjson
from msgspec import Struct

from tailrace.alerts.core.alert_rules import ALERT_RULES, AlertRule

GROUP: Final = "tailrace"


class RuleBounds(Struct, frozen=True):
    """The bounds that stand in rules. Units: seconds; errors of all calls, from 0 to 1; budget US dollars a
    month, None: there is none, and no rule of it.
    """

    late: int = 900
    stuck: int = 600
    left: int = 14_400
    quiet: int = 900
    absent: int = 300
    away: int = 60
    parked: int = 3_600
    errors: float = 0.01
    budget: float | None = None


def rules_file(bounds: RuleBounds) -> str:
    """A file of rules, as `rule_files:` of Prometheus takes it.

    >>> print(rules_file(RuleBounds(late=60)).splitlines()[4])
          - alert: "TailraceLate"
    """
    lines = [
        "# Written by `tailrace generate alerts`: run it again rather than change this file.",
        "groups:",
        f"  - name: {quoted(GROUP)}",
        "    rules:",
    ]
    for rule in rules_for(bounds):
        lines += rule_lines(rule, bounds)
    return "\n".join([*lines, ""])


def rules_for(bounds: RuleBounds) -> list[AlertRule]:
    """Those whose bounds are given."""
    return [
        rule for rule in ALERT_RULES if bounds.budget is not None or "bounds.budget" not in rule.expression
    ]


def rule_lines(rule: AlertRule, bounds: RuleBounds) -> list[str]:
    """A rule with its bounds in place, as an entry of a group."""
    lasting = rule.lasts.format(bounds=bounds)
    return [
        f"      - alert: {quoted(rule.name)}",
        f"        expr: {quoted(rule.expression.format(bounds=bounds))}",
        *([f"        for: {quoted(lasting)}"] if lasting else []),
        f"        labels: {{severity: {quoted(rule.severity)}}}",
        "        annotations:",
        f"          summary: {quoted(rule.summary)}",
        f"          next: {quoted(rule.next)}",
    ]


def quoted(text: str) -> str:
    """A text in YAML.

    >>> quoted('a "b"')
    '"a \\\\"b\\\\""'
    """
    return orjson.dumps(text).decode()
