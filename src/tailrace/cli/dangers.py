"""Warnings about AWS's own defaults, before they hurt.

Rules of this file: pure; settings in, sentences out. Each names the setting, what happens and what to write
instead. Called by `dev`. Stands alone because it is pure: `dev` says it.
"""

from collections.abc import Iterator

from tailrace.mapping.settings import INFINITE, MappingSettings


def dangers(settings: MappingSettings, *, has_destination: bool = False) -> Iterator[str]:
    """Warnings about one mapping. Only the order of lanes, AWS's, has them; our defaults are safe."""
    if settings.order != "lane":
        return
    endless = settings.maximum_retry_attempts == INFINITE and settings.maximum_record_age_ms == INFINITE
    if endless:
        yield (
            "retries have no end (MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1): one bad record "
            "blocks its shard until it is trimmed after 24 hours; write MaximumRetryAttempts=3, say"
        )
    if settings.batch_size > 1 and not settings.bisect_batch_on_function_error:
        if not settings.report_batch_item_failures:
            yield (
                f"a failing record makes the whole batch of up to {settings.batch_size} fail again "
                "and again: write "
                'BisectBatchOnFunctionError=True or FunctionResponseTypes=["ReportBatchItemFailures"]'
            )
        elif not endless:
            yield (
                "when attempts run out, the rest of a batch is given up with its bad record: write "
                "BisectBatchOnFunctionError=True"
            )
    if not endless and not has_destination:
        yield (
            "on AWS a record given up is gone unless the mapping has an on-failure destination; here it "
            "becomes a dead letter, so add DestinationConfig before you deploy"
        )
