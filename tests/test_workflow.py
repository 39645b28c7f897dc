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
"lambda invoke"*) [ "$AWS_MAX_ATTEMPTS" = 1 ] || exit 2 ;;
esac
case "$*" in
"sts get-caller-identity"*) echo 123456789012 ;;
"ecr batch-get-image"*) if [ -e pushed ]; then echo "sha256:pushed"; else echo "$THERE"; fi ;;
"lambda invoke"*"$FAILS_AT"*) echo '{"errorMessage": "it failed"}' >answer.json; echo Unhandled ;;
"lambda invoke"*) echo '{"applied": []}' >answer.json; echo None ;;
"ecr start-image-scan"*) exit 254 ;; # it is being scanned already
"ecr describe-image-scan-findings"*) echo "$FINDINGS" ;;
esac
"""

DOCKER = """#!/bin/sh
echo "docker $*" >>"$ASKED"
if [ "$1" = push ]; then touch pushed; fi
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
    asked = folder / "asked"
    for name, script in (("aws", AWS), ("docker", DOCKER)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o700)
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
            "GITHUB_SHA": "0123456",
            "GITHUB_ENV": str(folder / "environment"),
            "AWS_REGION": "ap-northeast-1",
            "THERE": "None",
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


def test_the_role_is_assumed_right_before_each_long_step(steps: list[dict[str, Any]]) -> None:
    """It lasts an hour."""
    for start in ("Build the image", "Migrate with the new image", "Let traffic move"):
        before = steps[steps.index(named(steps, start)) - 1]
        assert before["uses"].startswith("aws-actions/configure-aws-credentials@"), start


def test_nobody_cuts_off_a_migration_that_says_nothing(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    _status, asked = run(named(steps, "Migrate"), tmp_path)
    invoked = [line for line in asked if line.startswith("lambda invoke")]
    assert [line for line in invoked if "--cli-read-timeout 0 " not in line] == []
    alive = named(steps, "Keep connections alive")
    assert steps.index(alive) < steps.index(named(steps, "Migrate"))
    assert "tcp_keepalive true" in alive["run"]


def test_an_image_is_built_once(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    status, asked = run(named(steps, "Build the image"), tmp_path)
    assert status == 0
    assert [line.split()[1] for line in asked if line.startswith("docker")] == ["login", "build", "push"]
    assert "DIGEST=sha256:pushed" in (tmp_path / "environment").read_text()


def test_another_stage_gets_the_image_that_is_there(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    status, asked = run(named(steps, "Build the image"), tmp_path, THERE="sha256:tried")
    assert status == 0
    assert [line for line in asked if line.startswith("docker")] == []
    registry = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com"
    assert (tmp_path / "environment").read_text().split() == [
        "DIGEST=sha256:tried",
        f"IMAGE={registry}/timerecord@sha256:tried",
    ]


def test_an_image_that_has_no_digest_stops_it(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    status, _asked = run(named(steps, "Build the image"), tmp_path, THERE="")
    assert status == 1
