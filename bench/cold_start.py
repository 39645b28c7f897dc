"""What a cold start costs, beside a bare Django with the same parts, in one run.

    script/bench cold_start [--quick]

Each round starts a Python of its own for each: it imports the handler, as Lambda does before the first
request, then answers one event of API Gateway, with the sign-in page. The bare one is `bench/bare_lambda.py`:
Django's own apps and middleware, the same database engine, adapter, hasher and DynamoDB client, and Django's
own view for signing in. Neither talks to the database or to DynamoDB. Rounds alternate; medians of the
rounds' ratios count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

AIMS = {"both": "1.25 or less"}
BARE, OURS = "bench.bare_lambda", "timerecord.lambda_handler"
ONE = """\
import time
started = time.perf_counter()
import importlib, json, sys
name, target = sys.argv[1:]
handler = importlib.import_module(name).handler
imported = time.perf_counter()
event = json.loads(sys.stdin.read())
event["rawPath"] = event["requestContext"]["http"]["path"] = target
answer = handler(event, None)
answered = time.perf_counter()
assert answer["statusCode"] == 200, answer
handler(event, None)
warm = time.perf_counter()
memory = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(json.dumps({"import": imported - started, "first": answered - imported, "again": warm - answered,
                  "modules": len(sys.modules), "memory": memory / 1024}))
"""
EVENT = {
    "version": "2.0",
    "rawQueryString": "",
    "headers": {"host": "testserver", "accept-language": "ja", "x-forwarded-proto": "https"},
    "requestContext": {
        "http": {"method": "GET", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"},
        "stage": "$default",
    },
    "isBase64Encoded": False,
}


def start(name: str) -> dict[str, float]:
    """Start a process, and return what it measured of itself: seconds, modules, MiB."""
    words = [sys.executable, "-c", ONE, name, "/sign-in"]
    done = subprocess.run(words, input=json.dumps(EVENT), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "both": found["import"] + found["first"]}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds = 5 if parser.parse_args().quick else 21
    os.environ.update(
        DJANGO_SETTINGS_MODULE="bench.settings",
        SESSION_STORE="dynamodb",
        DYNAMODB_TABLE_PREFIX="bench",
        AWS_REGION="ap-northeast-1",
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_LAMBDA_FUNCTION_NAME="bench",
    )
    with tempfile.TemporaryDirectory() as static:
        os.environ["BENCH_STATIC_ROOT"] = static
        words = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(words, cwd=Path(__file__).resolve().parent.parent, check=True)
        took: dict[str, list[dict[str, float]]] = {BARE: [], OURS: []}
        for n in range(rounds + 1):
            for name, found in took.items():
                one = start(name)
                if n:  # the first round fills the disk's cache, and compiles
                    found.append(one)
    print(f"{'':24} {'measured':>10} {'bare':>10} {'ratio':>7}  aim")
    units = {"import": 1000, "first": 1000, "both": 1000, "again": 1000, "memory": 1, "modules": 1}
    labels = {
        "import": "import, ms",
        "first": "first answer, ms",
        "both": "both, ms",
        "again": "second answer, ms",
        "memory": "memory, MiB",
        "modules": "modules",
    }
    for key, unit in units.items():
        pairs = [
            (ours[key] * unit, bare[key] * unit) for ours, bare in zip(took[OURS], took[BARE], strict=True)
        ]
        ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"{labels[key]:24} {ours:10.1f} {bare:10.1f} {ratio:7.2f}  {AIMS.get(key, '')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
