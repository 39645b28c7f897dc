"""The inside of script/image: builds the image without Docker, then proves that it does what it is for.

- **The base**: Debian from debootstrap, laid out like AWS's image for Python (/var/lang, /var/runtime,
  /var/task, /lambda-entrypoint.sh), with this machine's Python 3.13 and the real runtime client from PyPI.
  `--base` names another one, such as AWS's own where there is a network for it.
- **The build**: buildah with `chroot` isolation, which needs neither a daemon nor user namespaces. This
  machine's settings for pip and its certificates are mounted while it builds, and are in no layer.
- **The proof**: the built image as an unprivileged user, polled by the real runtime client;
  tests/aws_lambda/runtime.py in place of the Runtime API. Configuration is in (moto's) Secrets Manager and
  Parameter Store, sessions in its DynamoDB, people and work in a real PostgreSQL that wants a password and is
  reached through TLS.

What this cannot show: AWS's base image, its network, its permissions.
"""

import argparse
import ast
import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
import tls_postgres
import with_dynamodb

from tests.aws_lambda.runtime import HOST, Browser, Function, running

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGE: Final = "localhost/timerecord:latest"
MOST_MIB: Final = 250
NOBODY: Final = 65534
PAGES, MAINTENANCE = "timerecord.lambda_handler.handler", "timerecord.maintenance_handler.handler"
MIGRATIONS: Final = "timerecord.migration_handler.handler"
DATABASE, ADMINISTRATOR, OWNER, APP = "timerecord", "administrator", "timerecord_owner", "timerecord_app"
PASSWORDS: Final = {role: secrets.token_urlsafe(24) for role in (ADMINISTRATOR, OWNER, APP)}
PASSWORD: Final = "a long enough passphrase"
EMAIL: Final = "employee@example.com"

# What a Python of one's own is linked with.
LIBRARIES: Final = (
    "ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,"
    "zlib1g"
)

SHARED: Final = ("doc", "man", "locale")

ENTRYPOINT: Final = """\
#!/bin/sh
[ $# -eq 1 ] || { echo "one argument, the handler" >&2; exit 142; }
_HANDLER=$1 exec /var/runtime/bootstrap
"""
BOOTSTRAP: Final = """\
#!/bin/sh
export PYTHONPATH="$LAMBDA_TASK_ROOT:/var/runtime${PYTHONPATH:+:$PYTHONPATH}"
exec /var/lang/bin/python3 -m awslambdaric "$_HANDLER"
"""


def fail(text: str) -> NoReturn:
    """Stop with one line on standard error and exit status 1."""
    sys.exit(f"script/image: {text}")


def said(*words: str) -> str:
    """Return what a command prints; end if it fails."""
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        fail(f"{words[0]} failed")
    return done.stdout.strip()


def run(*words: object, log: Path | None = None) -> None:
    """Run a command, its output into `log` if there is one; end if it fails."""
    with log.open("w") if log else contextlib.nullcontext() as out:
        done = subprocess.run([str(word) for word in words], stdout=out, stderr=out, check=False)
    if done.returncode:
        if log:
            print(log.read_text()[-3000:], file=sys.stderr)
        fail(f"{words[0]} failed")


def is_remote(source: str) -> bool:
    """Whether it is no folder of this machine."""
    return not source.startswith(("/", "file:"))


class Builder:
    """buildah, with its storage in a folder of ours."""

    def __init__(self, work: Path) -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        for driver in ("overlay", "vfs"):
            self.words = [
                "buildah",
                "--root",
                f"{work}/storage-{driver}",
                "--runroot",
                f"{work}/run-{driver}",
            ]
            self.words += ["--storage-driver", driver]
            asked = subprocess.run([*self.words, "info"], capture_output=True, check=False)
            if asked.returncode == 0:
                break
        self.mounts = self._mounts()

    def _mounts(self) -> list[str]:
        """Return what a build may use of this machine to reach a package registry: nothing of it stays."""
        host = self.work / "host"
        host.mkdir(exist_ok=True)
        # pip's own variable first, for it is what works here.
        certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
        shutil.copy(certificates or "/etc/ssl/certs/ca-certificates.crt", host / "ca.crt")
        found = {"cert": "/run/host/ca.crt"}
        for line in said(sys.executable, "-m", "pip", "config", "list").splitlines():
            name, _, value = line.partition("=")
            key = name.rpartition(".")[2].replace("_", "-").removeprefix("default-")
            if key in ("index-url", "extra-index-url", "proxy", "timeout", "trusted-host"):
                # What is in this machine's folders is not in the image's.
                given = str(ast.literal_eval(value)).split()
                words = [word for word in given if is_remote(word)]
                if words:
                    found[key] = " ".join(words)
        settings = "".join(f"{key} = {value}\n" for key, value in found.items())
        (host / "pip.conf").write_text(f"[global]\n{settings}")
        return ["--volume", f"{host}:/run/host:ro", "--volume", f"{host}/pip.conf:/etc/pip.conf:ro"]

    def call(self, *words: object) -> str:
        """Run one of buildah's commands; return what it prints."""
        return said(*self.words, *map(str, words))

    def has(self, image: str) -> bool:
        """Whether there is an image of that name."""
        words = [*self.words, "inspect", "--type", "image", image]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    @contextlib.contextmanager
    def container(self, image: str) -> Iterator[str]:
        """Yield a container of an image; it is removed afterwards."""
        name = self.call("from", "--pull-never", image)
        try:
            yield name
        finally:
            self.call("rm", name)

    def run_in(self, container: str, *words: str) -> None:
        """Run a command in a container, with the network of this machine."""
        run(*self.words, "run", "--isolation", "chroot", *self.mounts, container, "--", *words)


# --- the base ---------------------------------------------------------------------------------------------


def python_of(version: str) -> Path | None:
    """Return the prefix of this machine's Python of that version, if it is one by itself and not Debian's."""
    found = shutil.which(f"python{version}")
    candidates = [Path(found)] if found else []
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in candidates:
        asked = subprocess.run(
            [candidate, "-c", "import sys; print(sys.base_prefix)"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and asked.stdout.strip() != "/usr":
            return Path(asked.stdout.strip())
    return None


def make_base(builder: Builder, image: str, version: str, prefix: Path | None) -> None:
    """Make an image laid out like AWS's for Python, of Debian and the Python in `prefix`, or Debian's."""
    root = builder.work / ("debian" if prefix else "debian-with-python")
    layer = builder.work / "layer"
    if not (root / "complete").exists():
        print("debootstrap (a minute)")
        shutil.rmtree(root, ignore_errors=True)
        release = Path("/etc/os-release").read_text().splitlines()
        names = dict(line.split("=", 1) for line in release if "=" in line)
        suite = names["VERSION_CODENAME"]
        form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
        targets = [line.split() for line in said("apt-get", "indextargets", "--format", form).splitlines()]
        mirrors = [target[-1] for target in targets if target[:2] == [suite, "main"]]
        if not mirrors:
            fail(f"apt has no source for {suite} main")
        include = f"--include={LIBRARIES if prefix else 'python3,python3-pip,python3-venv,ca-certificates'}"
        words = ["debootstrap", "--variant=minbase", include, suite, root, mirrors[0]]
        run(*words, log=builder.work / "debootstrap.log")
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        for folder in (
            "var/cache/apt",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "complete").touch()
    print(f"the base, with {f'Python {version}' if prefix else 'Python of Debian'}")
    shutil.rmtree(layer, ignore_errors=True)
    for folder in ("var/lang/bin", "var/lang/lib", "var/runtime", "var/task"):
        (layer / folder).mkdir(parents=True)
    if prefix:
        python = f"python{version}"
        shutil.copy2(prefix / "bin" / python, layer / "var/lang/bin" / python)
        for library in (prefix / "lib").glob("libpython*.so*"):
            shutil.copy2(library, layer / "var/lang/lib", follow_symlinks=False)
        # As slim images are: without compiled files.
        ignore = shutil.ignore_patterns("test", "config-*", "__pycache__", "site-packages")
        shutil.copytree(
            prefix / "lib" / python, layer / "var/lang/lib" / python, symlinks=True, ignore=ignore
        )
        (layer / "var/lang/bin/python3").symlink_to(python)
    else:
        (layer / "var/lang/bin/python3").symlink_to("/usr/bin/python3")
    for program, text in (("lambda-entrypoint.sh", ENTRYPOINT), ("var/runtime/bootstrap", BOOTSTRAP)):
        (layer / program).write_text(text)
        (layer / program).chmod(0o755)
    container = builder.call("from", "scratch")
    try:
        for part in (root, layer):
            builder.call("add", "-q", container, part, "/")
        environment = {
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LANG": "en_US.UTF-8",
            "LD_LIBRARY_PATH": "/var/lang/lib:/var/runtime:/var/task",
            "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
        }
        said_so = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        entry = ["--workingdir", "/var/task", "--entrypoint", '["/lambda-entrypoint.sh"]']
        builder.call("config", *said_so, *entry, container)
        if prefix:
            builder.run_in(container, "python3", "-m", "ensurepip", "--default-pip")
        pip = ["python3", "-m", "pip", "install", "-q", "--no-cache-dir", "--root-user-action", "ignore"]
        builder.run_in(container, *pip, "--target", "/var/runtime", "awslambdaric")
        builder.call("commit", "-q", container, image)
    finally:
        builder.call("rm", container)


# --- the build --------------------------------------------------------------------------------------------


def build(builder: Builder, base: str) -> None:
    """Build the Dockerfile of this checkout."""
    run(
        *builder.words,
        *("bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--no-cache", "--force-rm"),
        *(*builder.mounts, "--build-arg", f"BASE_IMAGE={base}", "--tag", IMAGE, ROOT),
        log=builder.work / "build.log",
    )


def look_at(tree: Path) -> None:
    """Say what the image weighs; end if it holds what it should not, or lacks what it should have."""
    sizes = {"/": size_of(tree), "/var/task": size_of(tree / "var/task")}
    print(", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in sizes.items()))
    if sizes["/"] > MOST_MIB * 2**20:
        fail(f"the image is larger than {MOST_MIB} MiB unpacked")
    task = tree / "var/task"
    for name in ("tests", "bench", "docs", "script", ".git", ".venv", ".data", "static"):
        if (task / name).exists():
            fail(f"{name} is in the image")
    for path in task.rglob("*.py"):
        compiled = list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"))
        # Bits of the second word: 1 a hash in place of the time, 2 to be checked (PEP 552).
        if not compiled or compiled[0].read_bytes()[4:8] != b"\x01\0\0\0":
            fail(f"{path.relative_to(tree)} is not compiled with an unchecked hash")
    written = [path for path in task.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    if written:
        fail(f"others may write {written[0].relative_to(tree)}")
    configured = tree / "etc/pip.conf"
    if configured.exists() and configured.stat().st_size:
        fail("this machine's pip.conf is in the image")
    for name in ("locale/ja/LC_MESSAGES/django.mo", "staticfiles/staticfiles.json"):
        if not (task / name).is_file():
            fail(f"{name} is not in the image")


def size_of(folder: Path) -> int:
    """Return the bytes of all files below."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


# --- the proof --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def function(
    builder: Builder, container: str, handler: str, environment: dict[str, str]
) -> Iterator[Function]:
    """Run a handler in the container, as Lambda does: nobody in particular, who writes into /tmp alone."""
    given = {"AWS_LAMBDA_RUNTIME_API": "{api}", "AWS_LAMBDA_FUNCTION_NAME": "web", **environment}
    words = [*builder.words, "run", "--isolation", "chroot", "--network", "host"]
    words += [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
    words += [
        "--volume",
        f"{builder.work}/proof:/tmp/proof:ro",
        container,
        "--",
        "/lambda-entrypoint.sh",
        handler,
    ]
    log = builder.work / f"{handler}.log"
    with running(words, dict(os.environ), log, start_new_session=True) as found:
        try:
            yield found
        except BaseException:
            print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
            raise


def prove(builder: Builder, container: str, tree: Path) -> None:
    """Have somebody sign in and clock in; AssertionError, or an error of the function, if that fails."""
    proof = builder.work / "proof"
    proof.mkdir(exist_ok=True)
    with (
        tls_postgres.running() as postgres,
        (builder.work / "moto.log").open("wb") as log,
        with_dynamodb.running(log) as aws,
    ):
        shutil.copy(postgres.authority, proof / "authority.pem")
        (proof / "authority.pem").chmod(0o644)
        emulated = {f"AWS_ENDPOINT_URL_{name}": aws for name in ("DYNAMODB", "SECRETS_MANAGER", "SSM", "S3")}
        regional = {
            **with_dynamodb.ENVIRONMENT,
            "AWS_DEFAULT_REGION": with_dynamodb.ENVIRONMENT["AWS_REGION"],
        }
        os.environ.update({**emulated, **regional})
        arrange(postgres)
        environment = {
            **emulated,
            **regional,
            "APP_SECRET_ID": "timerecord/app",
            "APP_PARAMETER_PATH": "/timerecord",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "PGSSLROOTCERT": "/tmp/proof/authority.pem",
        }
        at = f"postgresql+secret://{tls_postgres.HOST}:{postgres.port}/{DATABASE}?secret=timerecord/"
        roles = {"DATABASE_URL": APP, "DATABASE_OWNER_URL": OWNER, "DATABASE_ADMIN_URL": ADMINISTRATOR}
        straight = {
            "DATABASE_ROOT_CERTIFICATES": "/tmp/proof/authority.pem",
            **{variable: at + role for variable, role in roles.items()},
        }
        started = time.time()
        with function(builder, container, MIGRATIONS, {**environment, **straight}) as migrations:
            migrate(migrations)
        introduce({**environment, "PGSSLROOTCERT": str(postgres.authority)})
        with function(builder, container, PAGES, environment) as pages:
            pages.wait_until_ready()
            walk(pages)
        with function(builder, container, MAINTENANCE, environment) as maintenance:
            found = maintenance.invoke({"command": "housekeeping"})
            assert found["command"] == "housekeeping", found
            print(f"maintenance: {found}")
        wrong = {**environment, "PGSSLROOTCERT": "/var/task/timerecord/aws/certificates.pem"}
        with function(builder, container, PAGES, wrong) as pages:
            assert Browser(pages).get("/readyz").status == 503, "any certificate will do"
        with psycopg.connect(postgres.admin, dbname=DATABASE) as on:
            punches = on.execute("SELECT count(*) FROM timerecord.work_sessions").fetchone()
        assert punches == (1,), punches
    written = [
        path
        for path in tree.rglob("*")
        if path.lstat().st_uid == NOBODY and path.lstat().st_mtime > started - 1
    ]
    elsewhere = [path for path in written if path.relative_to(tree).parts[0] != "tmp"]
    assert elsewhere == [], elsewhere


def arrange(postgres: tls_postgres.Running) -> None:
    """Do what template.yaml does: a database with its administrator, secrets, parameters, a table."""
    with psycopg.connect(postgres.admin, autocommit=True) as on:
        on.execute(
            f"CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORDS[ADMINISTRATOR]}'"
        )
        on.execute(f"CREATE DATABASE {DATABASE} OWNER {ADMINISTRATOR}")
    from timerecord.aws import services

    app: dict[str, Any] = {"username": APP, "password": PASSWORDS[APP], "dbname": DATABASE}
    app |= {"host": tls_postgres.HOST, "port": postgres.port}
    texts = {"app": {"SESSION_SECRET": secrets.token_urlsafe(60), **app}}
    texts |= {name: {"username": name, "password": password} for name, password in PASSWORDS.items()}
    secrets_manager = services.client("secretsmanager", read_seconds=60)
    for name, text in texts.items():
        secrets_manager.create_secret(Name=f"timerecord/{name}", SecretString=json.dumps(text))
    parameter_store = services.client("ssm", read_seconds=60)
    parameters = {
        "ALLOWED_HOSTS": HOST,
        "APP_BASE_URL": f"https://{HOST}",
        "DEFAULT_FROM_EMAIL": "timerecord@example.com",
        "EMAIL_URL": "consolemail://",
        "SESSION_STORE": "dynamodb",
        "DYNAMODB_TABLE_PREFIX": "timerecord",
        "SESSION_TTL_SECONDS": "3600",
    }
    for name, value in parameters.items():
        parameter_store.put_parameter(Name=f"/timerecord/{name}", Value=value, Type="String")


def migrate(migrations: Function) -> None:
    """Do the first deployment's migrations, and the next one's, which has none."""
    assert migrations.invoke({"bootstrap": True}) == {"bootstrapped": True}
    planned = [step["migration"] for step in migrations.invoke({"plan": True})["pending"]]
    report = migrations.invoke({})
    assert report["applied"] == planned != [], report
    assert migrations.invoke({})["applied"] == []
    print(f"migrations: {len(planned)} in {report['seconds']} s")


def introduce(environment: dict[str, str]) -> None:
    """Make the table of sessions and somebody who clocks in."""
    os.environ.update(environment)
    run(sys.executable, ROOT / "manage.py", "session_store", "create")
    somebody = (
        "from accounts.models import User; from tenants import scope; from tenants.models import Tenant\n"
        "with scope.everything('a proof arranges'):\n"
        f"    User.objects.create_user(email={EMAIL!r}, password={PASSWORD!r},"
        " tenant=Tenant.objects.create(name='青空商店'))"
    )
    run(sys.executable, ROOT / "manage.py", "shell", "-v0", "-c", somebody)


def walk(pages: Function) -> None:
    """Look at the pages as a browser does."""
    browser = Browser(pages)
    assert browser.get("/healthz").text == "alive\n"
    assert browser.get("/readyz").text == "ready\n"
    page = browser.get("/sign-in")
    sheet = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page.text)
    assert sheet, page.text
    style = browser.get(sheet[1], accept_encoding="gzip")
    assert style.headers["content-encoding"] == "gzip", style.headers
    assert "immutable" in style.headers["cache-control"], style.headers
    answer = browser.post("/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert (answer.status, answer.headers.get("location")) == (302, "/"), answer
    home = browser.get("/")
    assert home.status == 200, home
    seen = re.search(r'name="seen" value="(\d+)"', home.text)
    assert seen, home.text
    punch = browser.post("/clock-in", {"seen": seen[1], "confirmed": "yes"})
    assert (punch.status, punch.headers["location"]) == (303, "/"), punch
    assert 'action="/clock-out"' in browser.get("/").text
    print(f"signed in, clocked in, {sheet[1]} {len(style.content)} bytes")


def main() -> None:
    """Do as the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--base", help="an image to build on, in place of the one that is made")
    parser.add_argument("--rebuild-base", action="store_true", help="make that one anew")
    parser.add_argument("--only-build", action="store_true", help="leave out the proof")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(os.environ.get("TMPDIR", "/var/tmp")) / "timerecord-image",
        help="the folder of images and logs (%(default)s)",
    )
    options = parser.parse_args()
    builder = Builder(options.work.resolve())
    version = re.search(r"^ARG BASE_IMAGE=\S+:([0-9.]+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if not version:
        fail("the Dockerfile names no version of Python")
    base = options.base
    if not base:
        prefix = python_of(version[1])
        base = f"localhost/lambda-python:{version[1] if prefix else 'debian'}"
        if not prefix:
            print(
                f"no python{version[1]} here: the image is built on Debian's Python instead", file=sys.stderr
            )
        if options.rebuild_base or not builder.has(base):
            make_base(builder, base, version[1], prefix)
    print(f"building on {base} ({platform.machine()})")
    build(builder, base)
    with builder.container(IMAGE) as container:
        tree = Path(builder.call("mount", container))
        look_at(tree)
        if not options.only_build:
            with tempfile.TemporaryDirectory() as home:
                os.environ["HOME"] = home
                prove(builder, container, tree)
    print(f"{IMAGE} is built{'' if options.only_build else ' and proven'}; storage in {options.work}")


if __name__ == "__main__":
    main()
