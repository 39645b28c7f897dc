"""The workflow that deploys: what fails stops it, before traffic moves.

Its steps are run as GitHub runs them, by `bash -e`. AWS cannot be reached from here: a stand-in for its
command says what each test has it say, and writes down what it was asked.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

SECONDS = 60  # nothing here takes that long
AWS = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
"lambda invoke"*"$FAILS_AT"*) echo '{"errorMessage": "it failed"}' >answer.json; echo Unhandled ;;
"lambda invoke"*) echo '{"applied": []}' >answer.json; echo None ;;
"ecr start-image-scan"*) exit 254 ;; # it is being scanned already
"ecr describe-image-scan-findings"*) echo "$FINDINGS" ;;
esac
"""


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    """The steps of the job that deploys, in order."""
    workflow = yaml.safe_load(
        (settings.BASE_DIR / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
    )
    found: list[dict[str, Any]] = workflow["jobs"]["deploy"]["steps"]
    assert workflow["jobs"]["deploy"]["needs"] == "test"
    return found


def named(steps: list[dict[str, Any]], start: str) -> dict[str, Any]:
    (step,) = [step for step in steps if step.get("name", "").startswith(start)]
    return step


def run(step: dict[str, Any], folder: Path, **variables: str) -> tuple[int, list[str]]:
    """Run a step; return its exit status, and what AWS's command was asked."""
    command, asked = folder / "aws", folder / "asked"
    command.write_text(AWS)
    command.chmod(0o700)
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=folder,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "ASKED": str(asked),
            "STAGE": "production",
            "IMAGE": "registry/timerecord@sha256:0",
            "DIGEST": "sha256:0",
            "REPOSITORY": "timerecord",
            "FAILS_AT": "nothing",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, asked.read_text().splitlines()


def test_traffic_moves_last(steps: list[dict[str, Any]]) -> None:
    order = [
        steps.index(named(steps, start))
        for start in ("Build the image", "Scan the image", "Migrate with the new image", "Let traffic move")
    ]
    assert order == sorted(order)
    assert order[-1] == len(steps) - 1
    assert [step for step in steps if "if" in step or "continue-on-error" in step] == []


def test_the_new_image_migrates(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    status, asked = run(named(steps, "Migrate"), tmp_path)
    assert status == 0
    assert [line.partition(" --")[0] for line in asked] == [
        "lambda update-function-code",
        "lambda wait function-updated-v2",
        "lambda invoke",
        "lambda invoke",
    ]
    assert "--image-uri registry/timerecord@sha256:0" in asked[0]
    assert '--payload {"plan": true}' in asked[2]
    assert "--payload {} " in asked[3]


@pytest.mark.parametrize("event", ['{"plan": true}', "--payload {} "])
def test_a_migration_that_fails_stops_it(steps: list[dict[str, Any]], tmp_path: Path, event: str) -> None:
    status, asked = run(named(steps, "Migrate"), tmp_path, FAILS_AT=event)
    assert status == 1
    assert event in asked[-1]  # nothing after it


@pytest.mark.parametrize(
    ("findings", "is_good"),
    [("None", True), ("None\tNone", True), ("None\t1", False), ("20\tNone", False), ("0\t0", True)],
)
def test_an_image_with_known_faults_stops_it(
    steps: list[dict[str, Any]], tmp_path: Path, findings: str, is_good: bool
) -> None:
    status, _asked = run(named(steps, "Scan"), tmp_path, FINDINGS=findings)
    assert (status == 0) is is_good
