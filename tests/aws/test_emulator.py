"""script/with_dynamodb.py: what it gives to the command, and that nothing of it is left."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.test_scripts import is_gone

LAUNCHER = Path(__file__).resolve().parent.parent.parent / "script" / "with_dynamodb.py"
SECONDS = 60
HOLD = (
    "import os, sys, pathlib; pid = os.getpid();"
    " children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text();"
    " print(os.environ['AWS_ENDPOINT_URL_DYNAMODB'], pid, children, flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, None])
def test_it_lives_as_long_as_the_command(how: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, str(LAUNCHER), "--", sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout
        assert command.stdin
        address, pid, emulator = command.stdout.readline().split()
        assert int(pid) == command.pid  # the command took the launcher's place
        with urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=SECONDS) as answer:
            assert answer.status == 200
        if how is None:
            command.stdin.close()
        else:
            os.kill(command.pid, how)
        command.wait(SECONDS)
        assert is_gone(int(emulator))


def test_without_a_command_it_says_how() -> None:
    done = subprocess.run(
        [sys.executable, str(LAUNCHER)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (1, "usage: with_dynamodb.py -- COMMAND...\n")
