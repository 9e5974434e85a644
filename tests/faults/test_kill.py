"""Killed between any two lines: nothing that was answered with 200 is lost."""

from pathlib import Path

import pytest

from .kill import kill_again_and_again


@pytest.mark.long
async def test_what_was_acknowledged_survives_kills_and_the_records_equal_the_truth(
    database_url: str, tmp_path: Path
) -> None:
    await kill_again_and_again(database_url, tmp_path, kills=6, seed=4)
