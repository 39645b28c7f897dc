# One image, three commands: docs/adr/0013-lambda.md.
#
#   timerecord.lambda_handler.handler        pages, behind an API Gateway HTTP API (the default)
#   timerecord.maintenance_handler.handler   housekeeping and the like, by schedule
#   timerecord.migration_handler.handler     migrations, before traffic moves
#
# `script/image` builds it without Docker, and proves it; `docker build .` makes the same.
ARG BASE_IMAGE=public.ecr.aws/lambda/python:3.13

FROM ${BASE_IMAGE} AS build
COPY requirements.txt requirements-dev.txt /build/
# Nothing is built from source: what is installed is what was pinned by its hash.
RUN python3 -m pip install --no-cache-dir --no-compile --disable-pip-version-check --root-user-action ignore \
    --require-hashes --only-binary :all: --target /build/task -r /build/requirements.txt
# Babel compiles the messages, and stays here.
RUN sed -n '/^babel==/,/[^\\]$/p' /build/requirements-dev.txt > /build/babel.txt && \
    python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --require-hashes --only-binary :all: --no-deps --target /build/tools -r /build/babel.txt
# What of that never runs here: programs, type stubs, and descriptions of AWS's other services, 90 % of botocore.
RUN cd /build/task && rm -rf bin && find . -name '*.pyi' -delete && \
    find botocore/data -mindepth 1 -maxdepth 1 -type d \
    ! -name dynamodb ! -name s3 ! -name secretsmanager ! -name sesv2 ! -name ssm ! -name sts -exec rm -r {} +
COPY manage.py /build/task/
COPY timerecord /build/task/timerecord
COPY tenants /build/task/tenants
COPY accounts /build/task/accounts
COPY attendance /build/task/attendance
COPY templates /build/task/templates
COPY static /build/task/static
COPY locale /build/task/locale
# Both read neither a secret nor the database, but the settings insist on them.
RUN cd /build/task && export LOCAL_TRIAL=false SECRET_KEY=of-the-build-alone-00000000000000000000000000000000 \
    DATABASE_URL=postgresql:///none ALLOWED_HOSTS=none APP_BASE_URL=https://none \
    DEFAULT_FROM_EMAIL=none@none EMAIL_URL=consolemail:// PYTHONDONTWRITEBYTECODE=1 && \
    PYTHONPATH=/build/tools python3 manage.py compile_messages && \
    python3 manage.py collectstatic --noinput --verbosity 0 && \
    rm -r static && find locale -name '*.po' -delete
# Compiled once, and never held against the source again: its times are the image's, and nobody edits it.
RUN python3 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /build/task && chmod -R a+rX,go-w /build/task

FROM ${BASE_IMAGE}
# Of the standard library what was not compiled yet: a start without takes more than twice as long.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(test|tests|idlelib|lib2to3|ensurepip|tkinter|turtledemo|site-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /build/task ${LAMBDA_TASK_ROOT}
# For every connection to a database that says nothing else: encrypted, and only with whom it is meant.
ENV DJANGO_SETTINGS_MODULE=timerecord.settings \
    PGSSLMODE=verify-full \
    PGSSLROOTCERT=/var/task/timerecord/aws/certificates.pem
USER 65534:65534
CMD ["timerecord.lambda_handler.handler"]
