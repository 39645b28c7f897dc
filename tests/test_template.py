"""What of template.yaml no linter knows: that it fits the application, and grants no more than that needs."""

import datetime as dt
import json
import re
import zoneinfo
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.conf import settings

from tenants.database import APP, OWNER
from timerecord.aws import evidence, table
from timerecord.maintenance_handler import COMMANDS, part_of

TEMPLATE = settings.BASE_DIR / "template.yaml"
DOCUMENTED = (settings.BASE_DIR / "docs" / "configuration.md").read_text(encoding="utf-8")
FUNCTIONS = {
    "WebFunction": "timerecord.lambda_handler.handler",
    "MaintenanceFunction": "timerecord.maintenance_handler.handler",
    "MigrationFunction": "timerecord.migration_handler.handler",
}
# Statements that may name every resource, by their Sid, and why.
EVERYWHERE = {
    "NetworkInterfaces": "Lambda asks for network interfaces without naming one, before the function runs",
}
# The least severity of a statement's error by which PostgreSQL would log its text: none that a statement has.
NEVER = "panic"


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: !Ref X is {"Ref": "X"}, !Sub x is {"Fn::Sub": "x"}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _short_form)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader)
    return loaded


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = template["Resources"]
    return found


def of_type(resources: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every statement of every policy, wherever it is."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def of_roles(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out the endpoints, whose policies grant nothing: they narrow where a way leads."""
    return {name: r for name, r in resources.items() if r["Type"] != "AWS::EC2::VPCEndpoint"}


def rights_of(resources: dict[str, dict[str, Any]], function: str) -> list[dict[str, Any]]:
    """Return what a function's role says, with the policies that it names."""
    role, _attribute = resources[function]["Properties"]["Role"]["Fn::GetAtt"]
    properties = resources[role]["Properties"]
    shared = [resources[policy["Ref"]] for policy in properties["ManagedPolicyArns"]]
    return list(statements([properties["Policies"], shared]))


def plain(value: Any) -> str:
    """Return the text of a value, with the names of what it refers to."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
            return text
        case {"Fn::GetAtt": parts}:
            return f"${{{'.'.join(parts)}}}"
    return str(value)


class TestRights:
    def test_no_action_is_a_pattern(self, resources: dict[str, Any]) -> None:
        allowed = [s for s in statements(of_roles(resources)) if s["Effect"] == "Allow"]
        assert len(allowed) > 10
        assert [a for s in allowed for a in listed(s.get("Action", "*")) if "*" in a] == []
        assert [s for s in allowed if "NotAction" in s or "NotResource" in s] == []

    def test_each_resource_is_named_unless_there_is_a_reason(self, resources: dict[str, Any]) -> None:
        named = [s for s in statements(resources) if s["Effect"] == "Allow" and "Principal" not in s]
        everywhere = {
            s.get("Sid")
            for s in named
            for r in listed(s["Resource"])
            if plain(r).strip(":/") in ("*", "arn:*")
        }
        assert everywhere == set(EVERYWHERE)
        # A star at the end stands for what is made below something that is named.
        patterns = [plain(r) for s in named for r in listed(s["Resource"]) if "*" in plain(r)]
        assert [p for p in patterns if p != "*" and not re.fullmatch(r"[^*]*\$\{[^*]+\}[^*]*/\*", p)] == []

    def test_pages_and_maintenance_connect_as_the_application_and_as_nobody_else(
        self, resources: dict[str, Any]
    ) -> None:
        connect = [s for s in statements(resources) if "rds-db:connect" in listed(s.get("Action"))]
        (resource,) = [plain(s["Resource"]) for s in connect]
        assert resource.endswith(f":dbuser:${{Id}}/{APP}")
        parts = connect[0]["Resource"]["Fn::Sub"][1]["Id"]["Fn::Select"]
        assert parts == [6, {"Fn::Split": [":", {"Fn::GetAtt": ["Proxy", "DBProxyArn"]}]}]

    def test_only_migrations_read_the_passwords_of_roles(self, resources: dict[str, Any]) -> None:
        readers = {
            name
            for name, resource in resources.items()
            if resource["Type"] == "AWS::IAM::Role"
            and any(
                secret in plain(r)
                for s in statements(resource)
                if "Resource" in s
                for r in listed(s["Resource"])
                for secret in ("OwnerRoleSecret", "MasterUserSecret", "AppRoleSecret")
            )
        }
        assert readers == {"MigrationRole", "ProxyRole"}

    def test_the_sessions_rights_are_those_that_the_documentation_names(
        self, resources: dict[str, Any]
    ) -> None:
        documented = (settings.BASE_DIR / "docs" / "sessions.md").read_text(encoding="utf-8")
        needs = re.search(r"The application needs, on the table: (.*?)\. The command", documented, re.DOTALL)
        assert needs
        of_table, of_index = (set(re.findall(r"[A-Z]\w+", part)) for part in needs[1].split("on the index:"))
        granted = {
            plain(s["Resource"]): {a.removeprefix("dynamodb:") for a in listed(s["Action"])}
            for s in statements(of_roles(resources))
            if any(str(a).startswith("dynamodb:") for a in listed(s.get("Action")))
        }
        assert granted == {
            "${SessionTable.Arn}": of_table,
            "${SessionTable.Arn}/index/byTenant": of_index,
        }

    def test_who_is_told_how_to_send_mail_may_send_it(self, resources: dict[str, Any]) -> None:
        mail = resources["MailParameter"]["Properties"]
        path, _slash, name = plain(mail["Name"]).rpartition("/")
        assert (name, urlsplit(plain(mail["Value"])).scheme) == ("EMAIL_URL", "ses")
        # `housekeeping` sends errands' mails, pages all others; migrations send none.
        sending = {n for n in FUNCTIONS if n != "MigrationFunction"}
        for function in sending:
            variables = resources[function]["Properties"]["Environment"]["Variables"]
            assert plain(variables["APP_PARAMETER_PATH"]) == path
        granted = {
            function: {
                (action, plain(r).rpartition(":")[2])
                for s in rights_of(resources, function)
                for action in listed(s["Action"])
                if action.startswith("ses:")
                for r in listed(s["Resource"])
            }
            for function in FUNCTIONS
        }
        needed = {
            (action, resource)
            for action in ("ses:SendEmail", "ses:SendRawEmail")
            for resource in ("identity/${MailDomain}", "configuration-set/${MailConfiguration}")
        }
        assert granted == {function: needed if function in sending else set() for function in FUNCTIONS}

    def test_only_lambda_itself_makes_network_interfaces(self, resources: dict[str, Any]) -> None:
        for function in FUNCTIONS:
            interfaces = [s for s in rights_of(resources, function) if "ec2:" in str(s["Action"])]
            allowed, denied = sorted(interfaces, key=lambda s: str(s["Effect"]))
            assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
            assert set(denied["Action"]) >= set(allowed["Action"])
            assert denied["Resource"] == "*"
            # Lambda sets this key for what the code asks for; its own requests have none.
            (pattern,) = denied["Condition"]["ArnLike"].values()
            assert list(denied["Condition"]["ArnLike"]) == ["lambda:SourceFunctionArn"]
            assert plain(pattern).endswith(":lambda:${AWS::Region}:${AWS::AccountId}:function:*")

    def test_the_gateways_lead_to_the_table_and_the_buckets_alone(self, resources: dict[str, Any]) -> None:
        gateways = {
            name: endpoint
            for name, endpoint in of_type(resources, "AWS::EC2::VPCEndpoint").items()
            if endpoint["VpcEndpointType"] == "Gateway"
        }
        led = {
            name: {plain(r) for s in statements(endpoint["PolicyDocument"]) for r in listed(s["Resource"])}
            for name, endpoint in gateways.items()
        }
        assert led == {
            "DynamoDbEndpoint": {"${SessionTable.Arn}", "${SessionTable.Arn}/index/byTenant"},
            "S3Endpoint": {"${ExportBucket.Arn}", "${ExportBucket.Arn}/*", "${EvidenceBucket.Arn}/*"},
        }
        # What a role may do there is not refused on the way.
        for s in statements(of_roles(resources)):
            if s["Effect"] == "Allow" and re.match("s3:|dynamodb:", str(listed(s["Action"])[0])):
                ways = [way.rstrip("*") for resources_of in led.values() for way in resources_of]
                for resource in map(plain, listed(s["Resource"])):
                    assert [way for way in ways if resource.startswith(way)], s

    def test_evidence_is_put_there_by_maintenance_and_nothing_else_is_done(
        self, resources: dict[str, Any]
    ) -> None:
        granted = {
            function: {
                (action, plain(r))
                for s in rights_of(resources, function)
                for r in listed(s["Resource"])
                for action in listed(s["Action"])
                if "EvidenceBucket" in plain(r)
            }
            for function in FUNCTIONS
        }
        assert granted == {
            "WebFunction": set(),
            "MigrationFunction": set(),
            "MaintenanceFunction": {
                ("s3:PutObject", f"${{EvidenceBucket.Arn}}/{prefix}*") for prefix in evidence.PREFIXES
            },
        }
        policy = statements(resources["S3Endpoint"]["Properties"]["PolicyDocument"])
        (way,) = [s for s in policy if "EvidenceBucket" in str(s["Resource"])]
        assert way["Action"] == "s3:PutObject"

    def test_no_password_is_written_down(self) -> None:
        text = TEMPLATE.read_text(encoding="utf-8")
        assert "{{resolve:" not in text
        assert re.findall(r"\bMasterUserPassword:|NoEcho", text) == []


class TestSessionTable:
    def test_it_is_the_one_that_session_store_makes(
        self, template: dict[str, Any], resources: dict[str, Any]
    ) -> None:
        described = dict(resources["SessionTable"]["Properties"])
        name = plain(described.pop("TableName"))
        care = {
            "TimeToLiveSpecification": {"AttributeName": table.TTL, "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        }
        assert {key: described.pop(key) for key in care} == care
        # By a parameter, which is true unless somebody says otherwise.
        protection = described["DeletionProtectionEnabled"]
        assert protection == {"Ref": "DeletionProtection"}
        assert template["Parameters"]["DeletionProtection"]["Default"] == "true"
        described["DeletionProtectionEnabled"] = True
        made = table.definition("", protected=True)
        made.pop("TableName")
        encryption = described.pop("SSESpecification")
        assert encryption.pop("SSEEnabled") is made["SSESpecification"].pop("Enabled")
        assert encryption == made.pop("SSESpecification")

        def in_order(value: Any) -> Any:
            return sorted(value) if value and isinstance(value[0], str) else value

        for index in (*described["GlobalSecondaryIndexes"], *made["GlobalSecondaryIndexes"]):
            index["Projection"]["NonKeyAttributes"] = in_order(index["Projection"]["NonKeyAttributes"])
        assert described == made
        prefix = resources["WebFunction"]["Properties"]["Environment"]["Variables"]["DYNAMODB_TABLE_PREFIX"]
        assert name == f"{plain(prefix)}-sessions"


class TestFunctions:
    def test_one_image_three_commands(self, resources: dict[str, Any]) -> None:
        functions = of_type(resources, "AWS::Serverless::Function")
        assert {name: f["ImageConfig"]["Command"] for name, f in functions.items()} == {
            name: [command] for name, command in FUNCTIONS.items()
        }
        assert {plain(f["ImageUri"]) for f in functions.values()} == {"${ImageUri}"}

    def test_each_variable_is_documented(self, resources: dict[str, Any]) -> None:
        names = {
            name
            for f in of_type(resources, "AWS::Serverless::Function").values()
            for name in f["Environment"]["Variables"]
        }
        parameters = {
            plain(p["Name"]).rpartition("/")[2] for p in of_type(resources, "AWS::SSM::Parameter").values()
        }
        secret = resources["AppSecret"]["Properties"]["GenerateSecretString"]["GenerateStringKey"]
        everything = names | parameters | {secret}
        assert {"DATABASE_URL", "APP_BASE_URL", "SESSION_TTL_SECONDS", "SECRET_KEY"} <= everything
        assert {name for name in everything if f"`{name}`" not in DOCUMENTED} == set()

    def test_the_root_certificates_are_in_the_image(self, resources: dict[str, Any]) -> None:
        for name in FUNCTIONS:
            path = resources[name]["Properties"]["Environment"]["Variables"]["DATABASE_ROOT_CERTIFICATES"]
            assert (settings.BASE_DIR / path.removeprefix("/var/task/")).is_file()

    def test_parameters_are_below_the_path_that_is_read(self, resources: dict[str, Any]) -> None:
        path = plain(resources["WebFunction"]["Properties"]["Environment"]["Variables"]["APP_PARAMETER_PATH"])
        for parameter in of_type(resources, "AWS::SSM::Parameter").values():
            assert plain(parameter["Name"]).rpartition("/")[0] == path

    def test_pages_know_no_way_round_the_barriers(self, resources: dict[str, Any]) -> None:
        for name in ("WebFunction", "MaintenanceFunction"):
            variables = resources[name]["Properties"]["Environment"]["Variables"]
            assert plain(variables["DATABASE_URL"]) == (
                f"postgresql+iam://{APP}@${{Proxy.Endpoint}}:5432/timerecord"
            )
            assert not {"DATABASE_OWNER_URL", "DATABASE_ADMIN_URL", "DATABASE_IMPORT_URL"} & set(variables)

    def test_migrations_go_straight_to_the_database(self, resources: dict[str, Any]) -> None:
        variables = resources["MigrationFunction"]["Properties"]["Environment"]["Variables"]
        urls = {name: plain(url) for name, url in variables.items() if name.endswith("_URL")}
        assert set(urls) == {"DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_ADMIN_URL"}
        start = "postgresql+secret://${Database.Endpoint.Address}:5432/timerecord?secret="
        assert [url for url in urls.values() if not url.startswith(start)] == []

    def test_a_new_version_takes_over_bit_by_bit_or_not_at_all(self, resources: dict[str, Any]) -> None:
        web = resources["WebFunction"]["Properties"]
        assert web["AutoPublishAlias"] == "live"
        shifts = web["DeploymentPreference"]
        assert {plain(a) for a in shifts["Alarms"]} >= {"${NewVersionErrorsAlarm}", "${PagesFailAlarm}"}
        # What leads to the alias must not be what the alias waits for.
        for alarm in shifts["Alarms"]:
            assert '"Api"' not in json.dumps(resources[alarm["Ref"]])
        assert web["Timeout"] < 30  # after which the API answers in its place

    def test_each_schedule_names_a_command(self, resources: dict[str, Any]) -> None:
        events = resources["MaintenanceFunction"]["Properties"]["Events"]
        assert {e["Type"] for e in events.values()} == {"ScheduleV2"}
        asked = {name: json.loads(e["Properties"]["Input"]) for name, e in events.items()}
        assert {name: said["command"] for name, said in asked.items()} == {
            "Housekeeping": "housekeeping",
            "VerifyHistory": "verify_history",
            "Retention": "purge_expired",
            "Anchors": "export_anchor",
        }
        for said in asked.values():
            taken = COMMANDS[said["command"]]
            assert [n for n, value in said.get("options", {}).items() if not taken[n](value)] == []
        every_minute = events["Housekeeping"]["Properties"]["ScheduleExpression"]
        assert every_minute == "rate(1 minute)"  # mails leave by it

    @pytest.mark.parametrize("name", ["VerifyHistory", "Retention", "Anchors"])
    @pytest.mark.parametrize("day", ["2026-11-20", "2026-11-21", "2028-02-29"])
    def test_each_night_every_part_of_the_tenants_has_its_turn(
        self, resources: dict[str, Any], name: str, day: str
    ) -> None:
        schedule = resources["MaintenanceFunction"]["Properties"]["Events"][name]["Properties"]
        found = re.fullmatch(r"cron\((\d+)/(\d+) (\d+)-(\d+) \* \* \? \*\)", schedule["ScheduleExpression"])
        assert found
        first, step, begins, ends = map(int, found.groups())
        turn = json.loads(schedule["Input"])["turn"]
        assert turn.pop("at") == "<aws.scheduler.scheduled-time>"
        assert turn["minutes"] == step
        zone = zoneinfo.ZoneInfo(schedule["ScheduleExpressionTimezone"])
        night = dt.datetime.fromisoformat(day).replace(tzinfo=zone)
        times = [
            night.replace(hour=hour, minute=minute)
            for hour in range(begins, ends + 1)
            for minute in range(first, 60, step)
        ]
        parts = [part_of({**turn, "at": time.astimezone(dt.UTC).isoformat()}) for time in times]
        assert sorted(parts) == sorted(f"{number}/{turn['of']}" for number in range(1, turn["of"] + 1))
        # An invocation has as long as one turn takes.
        assert resources["MaintenanceFunction"]["Properties"]["Timeout"] == step * 60

    def test_each_function_has_a_log_that_ends(self, resources: dict[str, Any]) -> None:
        logs = of_type(resources, "AWS::Logs::LogGroup")
        for function in of_type(resources, "AWS::Serverless::Function").values():
            assert function["LoggingConfig"]["LogFormat"] == "JSON"
            assert logs[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"]


class TestDatabase:
    def test_its_major_version_is_the_one_that_the_tests_run_on(
        self, template: dict[str, Any], db: None
    ) -> None:
        from django.db import connection

        major = str(connection.cursor().connection.info.server_version // 10_000)
        mapped = template["Mappings"]["Database"]["PostgreSQL"]
        assert (mapped["Version"], mapped["Family"]) == (major, f"postgres{major}")

    def test_it_is_private_encrypted_backed_up_and_not_deleted(self, resources: dict[str, Any]) -> None:
        database = resources["Database"]
        assert database["DeletionPolicy"] == database["UpdateReplacePolicy"] == "Snapshot"
        wanted = {
            "PubliclyAccessible": False,
            "StorageEncrypted": True,
            "DeletionProtection": {"Ref": "DeletionProtection"},
            "ManageMasterUserPassword": True,
        }
        assert {name: database["Properties"][name] for name in wanted} == wanted
        assert resources["DatabaseParameters"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"

    def test_its_parameters_are_ones_that_postgresql_takes(self, resources: dict[str, Any], db: None) -> None:
        from django.db import connection

        given = resources["DatabaseParameters"]["Properties"]["Parameters"]
        own = {name: str(value) for name, value in given.items() if not name.startswith("rds.")}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT lower(name), enumvals, min_val FROM pg_settings WHERE lower(name) = ANY(%s)",
                [list(own)],
            )
            known = {name: (choices, least) for name, choices, least in cursor.fetchall()}
        assert set(known) == set(own)
        for name, (choices, least) in known.items():
            assert choices is None or own[name] in choices, name
            assert least is None or float(own[name]) >= float(least), name

    def test_its_log_has_no_statement_and_no_row(self, resources: dict[str, Any]) -> None:
        given = resources["DatabaseParameters"]["Properties"]["Parameters"]
        wanted = {
            "log_statement": "none",
            "log_min_duration_statement": "-1",
            "log_min_error_statement": NEVER,
            "log_error_verbosity": "terse",
        }
        assert {name: given.get(name) for name in wanted} == wanted
        # Others that would log a statement's text stay as they are: off.
        others = {"log_min_duration_sample", "log_statement_sample_rate", "log_transaction_sample_rate"}
        assert not others & set(given)

    @pytest.mark.parametrize(
        ("writer", "named", "log"),
        [
            ("Database", "DBInstanceIdentifier", "/aws/rds/instance/{}/postgresql"),
            ("Proxy", "DBProxyName", "/aws/rds/proxy/{}"),
        ],
    )
    def test_what_rds_logs_ends_too(
        self, resources: dict[str, Any], writer: str, named: str, log: str
    ) -> None:
        name = plain(resources[writer]["Properties"][named])
        (group,) = [
            group
            for group, properties in of_type(resources, "AWS::Logs::LogGroup").items()
            if plain(properties["LogGroupName"]) == log.format(name)
        ]
        assert plain(resources[group]["Properties"]["RetentionInDays"]) == "${LogDays}"
        # RDS makes a group without an end where it finds none.
        assert resources[writer]["DependsOn"] == group

    def test_the_proxy_takes_tokens_and_tls_alone(self, resources: dict[str, Any]) -> None:
        proxy = resources["Proxy"]["Properties"]
        assert proxy["RequireTLS"] is True
        assert {auth["IAMAuth"] for auth in proxy["Auth"]} == {"REQUIRED"}
        for secret, role in (("AppRoleSecret", APP), ("OwnerRoleSecret", OWNER)):
            said = resources[secret]["Properties"]["GenerateSecretString"]["SecretStringTemplate"]
            assert json.loads(said) == {"username": role}


class TestWhatIsKept:
    def test_exports_are_private_and_go_by_themselves(self, resources: dict[str, Any]) -> None:
        bucket = resources["ExportBucket"]["Properties"]
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        (rule,) = bucket["LifecycleConfiguration"]["Rules"]
        assert (rule["Status"], plain(rule["ExpirationInDays"])) == ("Enabled", "${ExportDays}")

    def test_what_is_nowhere_else_outlives_the_stack(self, resources: dict[str, Any]) -> None:
        kinds = ("AWS::SecretsManager::Secret", "AWS::DynamoDB::Table", "AWS::Logs::LogGroup")
        kept = {name for name, resource in resources.items() if resource["Type"] in kinds}
        for name in kept | {"EvidenceBucket"}:
            # But a first deploy that is rolled back leaves nothing whose name the next one needs.
            assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resources[name]["UpdateReplacePolicy"] == "Retain", name

    def test_evidence_is_locked(self, template: dict[str, Any], resources: dict[str, Any]) -> None:
        bucket = resources["EvidenceBucket"]["Properties"]
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert bucket["ObjectLockEnabled"] is True
        assert bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {
            "Mode": {"Ref": "EvidenceLock"},
            "Years": {"Ref": "EvidenceYears"},
        }
        assert template["Parameters"]["EvidenceLock"]["Default"] == "COMPLIANCE"
        assert "LifecycleConfiguration" not in bucket

    def test_every_alarm_is_explained(self, resources: dict[str, Any]) -> None:
        operations = (settings.BASE_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
        alarms = set(of_type(resources, "AWS::CloudWatch::Alarm"))
        assert sorted(re.findall(r"^\| `(\w+Alarm)` \|", operations, re.MULTILINE)) == sorted(alarms)
        (number,) = re.findall(r"(\d+) alarms", operations)
        assert int(number) == len(alarms)
        assert {
            "ErrorsAlarm",
            "PagesFailAlarm",
            "ThrottlesAlarm",
            "PinnedAlarm",
            "LatencyAlarm",
            "MaintenanceAlarm",
        } <= alarms
        assert {name for name in alarms if f"`{name}`" not in operations} == set()
        for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
            assert {"Ref": "Alarms"} in alarm["AlarmActions"], name

    def test_who_is_refused_by_the_api_is_counted(self, resources: dict[str, Any]) -> None:
        """Not who is refused by a page, who is told so: there the function was asked."""
        fields = json.loads(resources["Api"]["Properties"]["AccessLogSettings"]["Format"])
        metric = resources["TooManyRequestsFilter"]["Properties"]
        assert metric["LogGroupName"] == {"Ref": "ApiLog"}
        asked = re.findall(r'\$\.(\w+) (!?=) "(\d+)"', metric["FilterPattern"])
        assert asked == [("status", "=", "429"), ("integration", "!=", "200"), ("integration", "!=", "429")]
        assert fields["status"] == "$context.status"
        assert fields["integration"] == "$context.integrationStatus"
        (made,) = metric["MetricTransformations"]
        alarm = resources["TooManyRequestsAlarm"]["Properties"]
        assert (alarm["Namespace"], alarm["MetricName"]) == (made["MetricNamespace"], made["MetricName"])

    def test_the_api_lets_pass_what_documentation_reckons_with(
        self, template: dict[str, Any], resources: dict[str, Any]
    ) -> None:
        operations = (settings.BASE_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
        route = resources["Api"]["Properties"]["DefaultRouteSettings"]
        assert route == {
            "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
            "ThrottlingBurstLimit": {"Ref": "RequestsBurst"},
        }
        for name in ("RequestsPerSecond", "RequestsBurst"):
            default = template["Parameters"][name]["Default"]
            assert f"`{name}` {default:,}" in operations
