"""The inside of script/test: runs every check, whatever the others say, and sums up.

Pytest's output is shown as it comes. The static checks run beside it and are silent unless they fail.
The last line is `checks: N passed, N failed`; the exit status is 0 only if none failed.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from with_postgres import child_setup

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Check:
    """One command of the suite, run in the checkout; `environment` is added to ours."""

    name: str
    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a check went: `seconds` of wall-clock time; `output` is empty where it was shown already."""

    check: Check
    passed: bool
    seconds: float
    output: str


def manage(*words: str) -> list[str]:
    """Return the words that run a command of manage.py."""
    return [sys.executable, "manage.py", *words]


def tool(name: str, *words: str) -> list[str]:
    """Return the words that run a program of the virtual environment."""
    return [str(BIN / name), *words]


# What an installation that people use would be given.
DEPLOYED = {
    "LOCAL_TRIAL": "false",
    "DEBUG": "false",
    "SECRET_KEY": secrets.token_urlsafe(60),
    "ALLOWED_HOSTS": "timerecord.example",
    "APP_BASE_URL": "https://timerecord.example",
    "DEFAULT_FROM_EMAIL": "timerecord@timerecord.example",
    "EMAIL_URL": "smtp+tls://mail.timerecord.example",
}
PYTEST = Check("pytest", [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"])
STATIC = [
    Check("ruff check", tool("ruff", "check", "--quiet", ".")),
    Check("ruff format", tool("ruff", "format", "--check", ".")),
    Check("mypy", tool("mypy", ".")),
    Check("djlint format", tool("djlint", "--check", "--quiet", "templates")),
    Check("djlint lint", tool("djlint", "--lint", "--quiet", "templates")),
    Check("import-linter", tool("lint-imports")),
    Check("migrations complete", manage("makemigrations", "--check", "--dry-run")),
    Check("migrations safe", [sys.executable, "script/lint_migrations.py"]),
    Check("check --deploy", manage("check", "--deploy", "--fail-level", "WARNING"), DEPLOYED),
    Check("catalogues up to date", manage("extract_messages", "--check")),
    Check("cfn-lint", tool("cfn-lint", "template.yaml")),
    Check("sam validate", ["script/validate_template"]),
    Check("zizmor", tool("zizmor", "--offline", "--no-progress", "--persona", "pedantic", ".github")),
]


def run(check: Check, *, shown: bool) -> Outcome:
    """Run a check; its output is collected, or goes to the screen if it is to be `shown`."""
    started = time.monotonic()
    done = subprocess.run(
        check.words,
        cwd=ROOT,
        env={**os.environ, **check.environment},
        stdin=subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        # The main thread's child alone: the kernel's signal comes when the *thread* goes.
        preexec_fn=child_setup(signal.SIGTERM) if shown else None,
    )
    return Outcome(check, done.returncode == 0, time.monotonic() - started, done.stdout or "")


def report(outcomes: list[Outcome], not_run: str, install_failed: str) -> bool:
    """Print the output of what failed, then a line for each check; return whether none failed."""
    for outcome in outcomes:
        if not outcome.passed and outcome.output:
            print(f"\n--- {outcome.check.name}: {' '.join(outcome.check.words)}\n{outcome.output.rstrip()}")
    print()
    for outcome in outcomes:
        print(f"{'passed' if outcome.passed else 'FAILED':7} {outcome.seconds:6.1f} s  {outcome.check.name}")
    if not_run:
        print(f"not run           browser tests: {not_run}")
    if install_failed:
        print(f"FAILED            install: {install_failed}")
    failed = sum(not outcome.passed for outcome in outcomes) + bool(install_failed)
    print(f"checks: {sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return failed == 0


def main() -> int:
    """Run everything; return the exit status."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        static = [beside.submit(run, check, shown=False) for check in STATIC]
        try:
            tests = run(PYTEST, shown=True)
        except KeyboardInterrupt:
            beside.shutdown(cancel_futures=True)
            return 130
        outcomes = [*(future.result() for future in static), tests]
    good = report(
        outcomes,
        os.environ.get("TIMERECORD_NO_BROWSER", ""),
        os.environ.get("TIMERECORD_INSTALL_FAILED", ""),
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
