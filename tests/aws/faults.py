"""A DynamoDB that is slow, throttled, broken or gone, at the other end of a real connection."""

import contextlib
import enum
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Fault(enum.Enum):
    """What becomes of a request."""

    THROTTLED = "ProvisionedThroughputExceededException"
    LIMITED = "RequestLimitExceeded"
    BROKEN = "InternalServerError"
    UNAVAILABLE = "ServiceUnavailable"
    NO_SENSE = "an answer that is no JSON"
    DROPPED = "the connection ends without an answer"
    CUT = "the connection ends in the middle of the answer"
    SLOW = "no answer comes"
    DENIED = "AccessDeniedException"
    NO_TABLE = "ResourceNotFoundException"


STATUS = {Fault.BROKEN: 500, Fault.UNAVAILABLE: 503}


class FaultyStore:
    """Passes requests on to an emulator, but for those whose operation is to fail."""

    def __init__(self, emulator: str) -> None:
        self.emulator = emulator
        self.fault: Fault | None = None
        self.operations: frozenset[str] | None = None  # None: all
        self.failures: int | None = None  # how many, None: all
        self.successes = 0  # how many before
        self.received: list[str] = []
        self.is_over = threading.Event()

    @contextlib.contextmanager
    def failing(
        self, fault: Fault, *operations: str, times: int | None = None, after: int = 0
    ) -> Iterator[None]:
        """Have some operations fail, or all; the first so many (`after`) succeed."""
        self.fault, self.operations, self.failures = fault, frozenset(operations) or None, times
        self.successes = after
        try:
            yield
        finally:
            self.fault = None

    def fault_of(self, operation: str) -> Fault | None:
        """Return what is to become of this request."""
        self.received.append(operation)
        if self.operations is not None and operation not in self.operations:
            return None
        if self.successes:
            self.successes -= 1
            return None
        if self.failures is not None:
            if not self.failures:
                return None
            self.failures -= 1
        return self.fault

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Yield its address."""
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                self.is_over.set()
                server.shutdown()
                thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a body waits 40 ms until its headers are acknowledged

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fault = store.fault_of(self.headers["X-Amz-Target"].partition(".")[2])
                match fault:
                    case None:
                        request = Request(store.emulator, data=body, headers=dict(self.headers))
                        try:
                            with urlopen(request) as answer:
                                status, content = answer.status, answer.read()
                        except HTTPError as refusal:  # a condition that does not hold, for one
                            status, content = refusal.code, refusal.read()
                        self._answer(status, content)
                    case Fault.DROPPED:
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                    case Fault.CUT:
                        self.send_response(200)
                        self.send_header("Content-Length", "1000")
                        self.end_headers()
                        self.wfile.write(b'{"Item": {')
                        self.close_connection = True
                    case Fault.SLOW:
                        store.is_over.wait()
                        self.close_connection = True
                    case Fault.NO_SENSE:
                        self._answer(500, b"<html>bad gateway</html>")
                    case _:
                        kind = f"com.amazonaws.dynamodb.v20120810#{fault.value}"
                        content = json.dumps({"__type": kind, "message": "s3cret detail of the inside"})
                        self._answer(STATUS.get(fault, 400), content.encode())

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(content)))
                with contextlib.suppress(ConnectionError):  # nobody waits for it any more
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
