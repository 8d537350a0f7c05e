"""What script/demo shows of a Murder. script/matrix runs the other demonstration in each release."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_demonstration_of_a_murder_comes_to_its_end() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo", "--murder"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout
    assert "create INBOX at 127." in shown  # plan
    assert shown.count("3 of 3 recipients accepted") == 2
    assert "deferred joe@example.org" in shown  # while the backend is away
    counted = re.findall(r"joe has (\d) messages", shown)
    assert counted == ["2", "3"]
    trees = re.findall(r"^ +127\.\S+: (user/\w+), user/\w+/Sent, user/\w+/Spam$", shown, re.M)
    assert trees == ["user/joe", "user/kim", "user/pat", "user/sam", "user/joe"]
    assert shown.rstrip().endswith("Ended: the servers are stopped and their folders removed.")
