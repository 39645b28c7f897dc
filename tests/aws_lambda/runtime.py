"""A double of the Lambda Runtime API, which the real runtime client polls; and events as AWS documents them.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html has the API,
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html the
events of an HTTP API with payload format 2.0.
"""

import base64
import contextlib
import dataclasses
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

API = "/2018-06-01/runtime"
LONGEST_ANSWER = 6_291_556
SECONDS = 180  # a busy machine takes its time
HOST = "time.example.com"
SOURCE = "203.0.113.7"


class FunctionError(Exception):
    """The function reported an error in place of an answer: Lambda's client would get that."""


class FunctionEndedError(Exception):
    """The process is gone, or never came to ask for work."""


@dataclasses.dataclass
class Result:
    """What came of one invocation: "response" or "error", and its body."""

    kind: str
    body: bytes


class Function:
    """A running function: invoke it, one event after the other."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[tuple[str, dict[str, Any], float] | None] = queue.Queue()
        self.results: dict[str, queue.Queue[Result]] = {}
        self.init_error: bytes | None = None
        self.polled = threading.Event()
        self.restored = threading.Event()
        self.restore = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.log: Path | None = None

    def invoke(self, event: dict[str, Any], seconds: float = 30) -> Any:
        """Return what the function answers, which is told that it has so many seconds.

        FunctionError for an error that it reported, FunctionEndedError if it ended.
        """
        request_id = str(uuid.uuid4())
        results: queue.Queue[Result] = queue.Queue()
        self.results[request_id] = results
        self.waiting.put((request_id, event, seconds))
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                found = results.get(timeout=0.2)
                if found.kind != "response":
                    raise FunctionError(found.body.decode())
                return json.loads(found.body)
            self.check()
        raise FunctionEndedError("no answer")

    def check(self) -> None:
        """FunctionEndedError if the process is gone."""
        if self.process is not None and self.process.poll() is not None:
            raise FunctionEndedError(f"exit status {self.process.returncode}: {self.init_error or b''!r}")

    def wait_until_ready(self) -> None:
        """Return when the function asks for work."""
        deadline = time.monotonic() + SECONDS
        while not self.polled.wait(0.1):
            self.check()
            if time.monotonic() > deadline:
                raise FunctionEndedError("it never asked for work")

    def lines(self) -> list[str]:
        """Return what the function has written by now."""
        return self.log.read_text(errors="replace").splitlines() if self.log else []

    def close(self) -> None:
        """Let whoever waits for work go."""
        self.restore.set()
        self.waiting.put(None)


def _handler_for(function: Function) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms until its headers are acknowledged

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def do_GET(self) -> None:
            if self.path == f"{API}/restore/next":
                function.restored.set()
                function.restore.wait()
                self.answer(200, b"{}")
                return
            assert self.path == f"{API}/invocation/next", self.path
            function.polled.set()
            work = function.waiting.get()
            if work is None:
                self.close_connection = True
                return
            request_id, event, seconds = work
            self.answer(
                200,
                json.dumps(event).encode(),
                Content_Type="application/json",
                Lambda_Runtime_Aws_Request_Id=request_id,
                Lambda_Runtime_Deadline_Ms=str(int((time.time() + seconds) * 1000)),
                Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:ap-northeast-1:000000000000:function:web",
                Lambda_Runtime_Trace_Id="Root=1-00000000-000000000000000000000000;Sampled=0",
            )

        def do_POST(self) -> None:
            body = self.body()
            if self.path in (f"{API}/init/error", f"{API}/restore/error"):
                function.init_error = body
                self.answer(202, b'{"status":"OK"}')
                return
            found = re.fullmatch(rf"{API}/invocation/([^/]+)/(response|error)", self.path)
            assert found, self.path
            if len(body) > LONGEST_ANSWER:  # whereupon the real client ends
                self.answer(413, b'{"errorType":"Function.ResponseSizeTooLarge"}')
                return
            self.answer(202, b'{"status":"OK"}')
            function.results.pop(found[1]).put(Result(found[2], body))

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was stopped while it polled is no news."""


@contextlib.contextmanager
def running(words: list[str], environment: Mapping[str, str], log: Path, **popen: Any) -> Iterator[Function]:
    """Run a runtime client; `{api}` in its words stands for the double's address, HOST:PORT."""
    function = Function()
    function.log = log
    with _Server(("127.0.0.1", 0), _handler_for(function)) as server, log.open("wb") as out:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = f"127.0.0.1:{server.server_address[1]}"
        function.process = subprocess.Popen(
            [word.replace("{api}", api) for word in words],
            env={**environment, "AWS_LAMBDA_RUNTIME_API": api},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            **popen,
        )
        try:
            yield function
        finally:
            function.close()
            if popen.get("start_new_session"):  # it has children
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(function.process.pid, signal.SIGTERM)
            function.process.terminate()
            function.process.wait()
            server.shutdown()


# --- events, and answers as a browser sees them -------------------------------------------------------------


def event(
    method: str = "GET",
    target: str = "/",
    *,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    body: bytes | None = None,
    host: str = HOST,
) -> dict[str, Any]:
    """Return the event of a request: header names in lower case, a body that is no text in base64."""
    parts = urlsplit(target)
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path or "/",
        "rawQueryString": parts.query,
        "headers": {
            "accept": "text/html",
            "accept-language": "ja",
            "host": host,
            "user-agent": "Mozilla/5.0",
            "x-amzn-trace-id": "Root=1-00000000-000000000000000000000000",
            "x-forwarded-for": SOURCE,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **(headers or {}),
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": method,
                "path": parts.path or "/",
                "protocol": "HTTP/1.1",
                "sourceIp": SOURCE,
                "userAgent": "Mozilla/5.0",
            },
            "requestId": "id=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "20/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1795132800000,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        made["cookies"] = [f"{name}={value}" for name, value in cookies.items()]
    if body is not None:
        made["body"] = base64.b64encode(body).decode()
        made["isBase64Encoded"] = True
        made["headers"]["content-length"] = str(len(body))
    return made


@dataclasses.dataclass
class Answer:
    """What API Gateway makes of the function's answer."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    content: bytes

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Answer":
        """Read the answer of a function."""
        body = found.get("body") or ""
        content = base64.b64decode(body) if found.get("isBase64Encoded") else body.encode()
        return cls(found["statusCode"], found.get("headers", {}), found.get("cookies", []), content)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()


class Browser:
    """Somebody's browser at the other end of API Gateway: keeps cookies, fills in forms."""

    def __init__(self, function: Function, **headers: str) -> None:
        self.function = function
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.cookies: dict[str, str] = {}
        self.page = ""

    def get(self, target: str, *, method: str = "GET", seconds: float = 30, **headers: str) -> Answer:
        """Ask for a page, with more headers: `accept_language="en"`."""
        made = event(method, target, headers=self._headers(headers), cookies=self.cookies)
        return self._send(made, seconds)

    def post(
        self, target: str, fields: Mapping[str, object], *, seconds: float = 30, upload: bytes | None = None
    ) -> Answer:
        """Send a form with the token of the last page that had one; `upload` goes as the file `file`."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page)
        sent = {**({"csrfmiddlewaretoken": token[1]} if token else {}), **fields}
        if upload is None:
            kind, body = "application/x-www-form-urlencoded", urlencode(sent).encode()
        else:
            kind, body = "multipart/form-data; boundary=----b", _multipart(sent, upload)
        headers = self._headers({"content-type": kind, "origin": f"https://{HOST}"})
        return self._send(event("POST", target, headers=headers, cookies=self.cookies, body=body), seconds)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**self.headers, **{name.replace("_", "-"): value for name, value in more.items()}}

    def _send(self, made: dict[str, Any], seconds: float) -> Answer:
        answer = Answer.of(self.function.invoke(made, seconds))
        for said in answer.cookies:
            for name, morsel in SimpleCookie(said).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0" or not morsel.value:
                    del self.cookies[name]
        if (
            answer.headers.get("content-type", "").startswith("text/html")
            and "csrfmiddlewaretoken" in answer.text
        ):
            self.page = answer.text
        return answer


def _multipart(fields: Mapping[str, object], upload: bytes) -> bytes:
    parts = [
        f'------b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    file = b'------b\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n'
    return b"".join([*parts, file, b"Content-Type: text/csv\r\n\r\n", upload, b"\r\n------b--\r\n"])
