"""A node in the region that its environment and its command line choose."""

import asyncio
from pathlib import Path

import pytest

from tailrace.cli.running import Serving, build_node


@pytest.mark.parametrize("is_one", [False, True])
def test_a_node_is_begun_in_the_region_of_its_environment_and_with_the_namespaces_that_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_one: bool
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    serving = Serving(
        port=0,
        host="127.0.0.1",
        directory=tmp_path / "data",
        memory=True,
        sync="normal",
        clock="system",
        clock_start=None,
        shards=1,
        aws_delays=False,
        cors=None,
        allow_unsigned=False,
        log_format="text",
        as_json=True,
        one_namespace=is_one,
    )

    async def main() -> tuple[str, bool]:
        node = build_node(serving)
        await node.start()
        settings = node.engine.settings
        await node.stop()
        return settings.region, settings.one_namespace

    assert asyncio.run(main()) == ("eu-west-1", is_one)
