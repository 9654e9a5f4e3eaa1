"""The soak test itself, short and without Kafka: what `./dev soak` does for an hour."""
import subprocess
import sys

import pytest

from support.process import ROOT


@pytest.mark.timeout(120)
def test_short_soak(tmp_path):
    ended = subprocess.run(
        [sys.executable, ROOT / "tests/soak.py", "--no-kafka", "--minutes", "0.25", "--rate", "2000", "--folder",
         tmp_path / "soak"], capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "fault: kill" in ended.stdout and "passed" in ended.stdout, ended.stdout
