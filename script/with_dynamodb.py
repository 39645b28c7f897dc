"""Run a command beside an emulator of DynamoDB that lives as long as it, and keeps nothing. Linux only.

    with_dynamodb.py -- COMMAND...

The command finds AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION and credentials of no worth in its environment. It
takes this process's place, and the kernel tells the emulator to stop when it goes, however it goes.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent))

from with_postgres import child_setup

SECONDS_TO_START = 60
# moto looks at neither; botocore asks for both.
ENVIRONMENT = {
    "AWS_REGION": "ap-northeast-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}


# What `python -m moto.server` does, at a socket that it is given: nobody else can have its port.
SERVE = """
import sys
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
application = DomainDispatcherApplication(create_backend_app)
listening = int(sys.argv[1])
make_server(
    "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler, fd=listening
).serve_forever()
"""


def start(log: IO[bytes]) -> tuple["subprocess.Popen[bytes]", str]:
    """Start moto's server as a child; return it and its address once it answers, else RuntimeError."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(listening.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            preexec_fn=child_setup(signal.SIGTERM),
        )
    wait_until_it_answers(server, f"{address}/moto-api/data.json")
    return server, address


def wait_until_it_answers(server: "subprocess.Popen[bytes]", url: str) -> None:
    """Return when a server gives any HTTP answer. RuntimeError if it ends before, or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS_TO_START):
                return
        except urllib.error.HTTPError:  # that is one, too
            return
        except OSError:
            time.sleep(0.05)
    server.kill()
    server.wait()
    raise RuntimeError("the emulator of DynamoDB does not start")


@contextlib.contextmanager
def running(log: IO[bytes]) -> Iterator[str]:
    """Yield the address of an emulator; it is gone afterwards."""
    server, address = start(log)
    try:
        yield address
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Do as the module says."""
    if sys.argv[1:2] != ["--"] or len(sys.argv) < 3:
        sys.exit("usage: with_dynamodb.py -- COMMAND...")
    with Path(os.devnull).open("wb") as log:
        _server, address = start(log)
    os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL_DYNAMODB=address)
    os.execvp(sys.argv[2], sys.argv[2:])  # the command that was asked for


if __name__ == "__main__":
    main()
