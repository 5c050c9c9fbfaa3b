"""boto3 against the sandbox: does AWS's own client, with AWS's own models, understand every answer and error?

    boto3_tour.py path/to/ground

Prints one line for each check, then "N passed, N failed"; the status is 0 only if all passed.
"""

import json
import sys

import storage_tour  # noqa: F401  (its checks)
from tour import Sandbox, check, expect, refused, run

ALL = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
UNKNOWN = {"aws_access_key_id": "AKIAFARTHINGEXAMPLEX", "aws_secret_access_key": "not-a-real-secret"}


def wrong(sandbox):
    return dict(sandbox.facts["keys"]["payer"], aws_secret_access_key="not-a-real-secret")


def assume(sandbox, **more):
    role = f"arn:aws:iam::{sandbox.facts['linked']}:role/bill-reader"
    arguments = {"RoleArn": role, "RoleSessionName": "tour", "ExternalId": "agreed"} | more
    return sandbox.client("sts").assume_role(**arguments)


@check
def sts_identity(sandbox):
    """sts: GetCallerIdentity of users"""
    for who, user in (("payer", "admin"), ("linked", "admin"), ("nobody", "nobody")):
        account = sandbox.facts["payer" if who == "nobody" else who]
        answer = sandbox.client("sts", who).get_caller_identity()
        expect(answer["Account"] == account, answer)
        expect(answer["Arn"] == f"arn:aws:iam::{account}:user/{user}", answer)
        expect(answer["UserId"].startswith("AIDA"), answer)


@check
def sts_assume_role(sandbox):
    """sts: AssumeRole gives a session of the role"""
    answer = assume(sandbox)
    made = answer["Credentials"]
    expect(made["AccessKeyId"].startswith("ASIA"), "the id of a session begins with ASIA")
    expect(made["Expiration"].tzinfo is not None, made["Expiration"])
    key = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }
    arn = sandbox.client("sts", key=key).get_caller_identity()["Arn"]
    expect(arn == answer["AssumedRoleUser"]["Arn"], arn)
    expect(arn.endswith(":assumed-role/bill-reader/tour"), arn)
    del key["aws_session_token"]
    refused("InvalidClientTokenId", 403, sandbox.client("sts", key=key).get_caller_identity)


@check
def sts_refusals(sandbox):
    """sts: refusals of AssumeRole"""
    for more, code, status in (
        ({"ExternalId": "another"}, "AccessDenied", 403),
        ({"RoleArn": f"arn:aws:iam::{sandbox.facts['linked']}:role/nobodys"}, "AccessDenied", 403),
        ({"DurationSeconds": 43200 + 900}, "ValidationError", 400),
    ):
        refused(code, status, assume, sandbox=sandbox, **more)


@check
def bad_keys(sandbox):
    """every protocol has its own codes for bad keys"""
    operations = {
        "sts": "get_caller_identity",
        "iam": "get_user",
        "organizations": "describe_organization",
        "bcm-data-exports": "list_exports",
        "cur": "describe_report_definitions",
        "s3": "list_buckets",
    }
    json_codes = (("UnrecognizedClientException", 400), ("InvalidSignatureException", 400))
    query_codes = (("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403))
    s3_codes = (("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403))
    for service, operation in operations.items():
        unknown, mismatch = {"sts": query_codes, "iam": query_codes, "s3": s3_codes}.get(service, json_codes)
        for key, (code, status) in ((UNKNOWN, unknown), (wrong(sandbox), mismatch)):
            refused(code, status, getattr(sandbox.client(service, key=key), operation))
        refused(*unknown, getattr(sandbox.client(service, "former"), operation))


@check
def denials(sandbox):
    """every protocol has its own code for a missing right, and names the action"""
    nobody = {service: sandbox.client(service, "nobody") for service in ("iam", "organizations", "bcm-data-exports", "cur", "s3")}
    for action, code, status, call, arguments in (
        ("iam:CreateUser", "AccessDenied", 403, nobody["iam"].create_user, {"UserName": "never-made"}),
        (
            "organizations:ListAccounts",
            "AccessDeniedException",
            400,
            nobody["organizations"].list_accounts,
            {},
        ),
        ("bcm-data-exports:ListExports", "AccessDeniedException", 400, nobody["bcm-data-exports"].list_exports, {}),
        ("cur:DescribeReportDefinitions", "AccessDeniedException", 400, nobody["cur"].describe_report_definitions, {}),
        ("s3:ListBucket", "AccessDenied", 403, nobody["s3"].list_objects_v2, {"Bucket": "example-reports"}),
    ):
        answer = refused(code, status, call, **arguments)
        message = answer["Error"]["Message"]
        arn = f"User: arn:aws:iam::{sandbox.facts['payer']}:user/nobody is not authorized to perform: {action}"
        expect(message.startswith(arn), message)


@check
def iam_user(sandbox):
    """iam: a policy, a user and its key"""
    iam = sandbox.client("iam")
    policy = iam.create_policy(PolicyName="tour", PolicyDocument=ALL)["Policy"]
    expect(policy["Arn"] == f"arn:aws:iam::{sandbox.facts['payer']}:policy/tour", policy)
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]
    expect(version["Document"] == json.loads(ALL) and version["IsDefaultVersion"], version)
    user = iam.create_user(UserName="tour")["User"]
    expect(user["CreateDate"].year > 2000 and user["Path"] == "/", user)
    iam.attach_user_policy(UserName="tour", PolicyArn=policy["Arn"])
    attached = iam.list_attached_user_policies(UserName="tour")["AttachedPolicies"]
    expect(attached == [{"PolicyName": "tour", "PolicyArn": policy["Arn"]}], attached)
    expect(iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["AttachmentCount"] == 1, "it is attached once")
    expect(iam.get_user(UserName="tour")["User"]["Arn"] == user["Arn"], "the same user")
    made = iam.create_access_key(UserName="tour")["AccessKey"]
    listed = iam.list_access_keys(UserName="tour")["AccessKeyMetadata"]
    expect([key["AccessKeyId"] for key in listed] == [made["AccessKeyId"]], listed)
    key = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    expect(sandbox.client("sts", key=key).get_caller_identity()["Arn"] == user["Arn"], "the key is the user's")
    expect(sandbox.client("iam", key=key).get_user()["User"]["UserName"] == "tour", "the caller, if no name is given")


@check
def iam_errors(sandbox):
    """iam: names that are taken or unknown, malformed policies, quotas"""
    iam = sandbox.client("iam")
    iam.create_user(UserName="taken")
    nothing = f"arn:aws:iam::{sandbox.facts['payer']}:policy/nothing"
    for code, status, call, arguments in (
        ("EntityAlreadyExists", 409, iam.create_user, {"UserName": "TAKEN"}),
        ("NoSuchEntity", 404, iam.get_user, {"UserName": "nobodys"}),
        ("NoSuchEntity", 404, iam.create_access_key, {"UserName": "nobodys"}),
        ("NoSuchEntity", 404, iam.attach_user_policy, {"UserName": "taken", "PolicyArn": nothing}),
        ("NoSuchEntity", 404, iam.get_policy, {"PolicyArn": nothing}),
        ("MalformedPolicyDocument", 400, iam.create_policy, {"PolicyName": "bad", "PolicyDocument": "{}"}),
        ("ValidationError", 400, iam.create_user, {"UserName": "no name"}),
    ):
        refused(code, status, call, **arguments)
    try:
        iam.get_user(UserName="nobodys")
        raise AssertionError("a user that does not exist is shown")
    except iam.exceptions.NoSuchEntityException:
        pass
    for _ in range(2):
        iam.create_access_key(UserName="taken")
    refused("LimitExceeded", 409, iam.create_access_key, UserName="taken")


@check
def iam_simulation(sandbox):
    """iam: the simulator, page by page"""
    iam = sandbox.client("iam")
    arn = f"arn:aws:iam::{sandbox.facts['payer']}:user/admin"
    actions = [f"s3:Action{number}" for number in range(12)]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=actions, PaginationConfig={"PageSize": 5}
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    expect([result["EvalActionName"] for result in results] == actions, results)
    expect({result["EvalDecision"] for result in results} == {"allowed"}, results)
    refused("NoSuchEntity", 404, iam.simulate_principal_policy, PolicySourceArn=arn + "s", ActionNames=["s3:GetObject"])


@check
def organizations(sandbox):
    """organizations: who pays, and all accounts over short and empty pages"""
    payer, linked = sandbox.client("organizations"), sandbox.client("organizations", "linked")
    own = payer.describe_organization()["Organization"]
    expect(own == linked.describe_organization()["Organization"], own)
    expect(own["MasterAccountId"] == sandbox.facts["payer"], own)
    pages = list(payer.get_paginator("list_accounts").paginate())
    accounts = [account for page in pages for account in page["Accounts"]]
    expect(len(accounts) == sandbox.facts["accounts"], len(accounts))
    expect(any(not page["Accounts"] for page in pages), "AWS may send empty pages, and so does the sandbox")
    expect(all(account["JoinedTimestamp"].year > 2000 for account in accounts), accounts[0])
    refused("AccessDeniedException", 400, linked.list_accounts)
    refused("InvalidInputException", 400, payer.list_accounts, NextToken="nonsense")
    stranger = sandbox.client("organizations", "stranger")
    try:
        stranger.describe_organization()
        raise AssertionError("an account of its own has an organization")
    except stranger.exceptions.AWSOrganizationsNotInUseException:
        pass


def export(name, bucket="example-exports", query="SELECT line_item_unblended_cost FROM COST_AND_USAGE_REPORT", **more):
    output = {"OutputType": "CUSTOM", "Format": "PARQUET", "Compression": "PARQUET", "Overwrite": "OVERWRITE_REPORT"} | more
    return {
        "Name": name,
        "DataQuery": {
            "QueryStatement": query,
            "TableConfigurations": {"COST_AND_USAGE_REPORT": {"TIME_GRANULARITY": "DAILY", "INCLUDE_RESOURCES": "TRUE"}},
        },
        "DestinationConfigurations": {
            "S3Destination": {"S3Bucket": bucket, "S3Prefix": "p", "S3Region": "us-east-1", "S3OutputConfigurations": output}
        },
        "RefreshCadence": {"Frequency": "SYNCHRONOUS"},
    }


def deliverable(sandbox, bucket):
    """A bucket that the services that deliver may write to."""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket=bucket)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"]},
        "Action": ["s3:PutObject", "s3:GetBucketPolicy", "s3:GetBucketAcl"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"StringEquals": {"aws:SourceAccount": sandbox.facts["payer"]}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@check
def data_exports_tables(sandbox):
    """bcm-data-exports: tables and their columns"""
    exports = sandbox.client("bcm-data-exports")
    tables = exports.list_tables()["Tables"]
    names = {table["TableName"] for table in tables}
    expect({"COST_AND_USAGE_REPORT", "FOCUS_1_2_AWS"} <= names, names)
    for table in names:
        columns = exports.get_table(TableName=table)["Schema"]
        expect(len(columns) > 10 and all({"Name", "Type"} <= set(column) for column in columns), columns)
    refused("ValidationException", 400, exports.get_table, TableName="NO_SUCH_TABLE")


@check
def data_exports(sandbox):
    """bcm-data-exports: an export from its creation on, page by page"""
    exports = sandbox.client("bcm-data-exports")
    deliverable(sandbox, "example-exports")
    arns = [exports.create_export(Export=export(f"tour-{number}"))["ExportArn"] for number in range(3)]
    pages = list(exports.get_paginator("list_exports").paginate(PaginationConfig={"PageSize": 2}))
    listed = [found["ExportArn"] for page in pages for found in page["Exports"]]
    expect(sorted(listed) == sorted(arns) and len(pages) == 2, listed)
    answer = exports.get_export(ExportArn=arns[0])
    expect(answer["Export"]["Name"] == "tour-0" and answer["ExportStatus"]["StatusCode"] == "HEALTHY", answer)
    for execution in exports.list_executions(ExportArn=arns[0])["Executions"]:
        shown = exports.get_execution(ExportArn=arns[0], ExecutionId=execution["ExecutionId"])
        expect(shown["ExecutionStatus"] == execution["ExecutionStatus"], shown)
    changed = export("tour-0")
    changed["Description"] = "changed"
    exports.update_export(ExportArn=arns[0], Export=changed)
    expect(exports.get_export(ExportArn=arns[0])["Export"]["Description"] == "changed", "it is changed")
    exports.delete_export(ExportArn=arns[2])
    missing = refused("ResourceNotFoundException", 400, exports.get_export, ExportArn=arns[2])
    expect(missing.get("ResourceId"), missing)


@check
def data_exports_errors(sandbox):
    """bcm-data-exports: what AWS does not accept, with reason and fields, and quotas"""
    exports = sandbox.client("bcm-data-exports", "payer", parameter_validation=False)
    deliverable(sandbox, "example-more-exports")
    sandbox.client("s3").create_bucket(Bucket="example-no-policy")
    bucket = "example-more-exports"
    answer = refused("ValidationException", 400, exports.create_export, Export=export("not good", bucket))
    expect(answer.get("Reason") == "fieldValidationFailed" and answer["Fields"][0]["Name"], answer)
    for bad in (
        export("star", bucket, "SELECT * FROM COST_AND_USAGE_REPORT"),
        export("column", bucket, "SELECT no_such_column FROM COST_AND_USAGE_REPORT"),
        export("nowhere", "example-nobodys"),
        export("closed", "example-no-policy"),
        export("mixed", bucket, Compression="GZIP"),
    ):
        refused("ValidationException", 400, exports.create_export, Export=bad)
    exports.create_export(Export=export("once", bucket))
    refused("ValidationException", 400, exports.create_export, Export=export("once", bucket))
    made = len(exports.list_exports()["Exports"])
    for number in range(made, 5):
        exports.create_export(Export=export(f"quota-{number}", bucket))
    refused("ServiceQuotaExceededException", 400, exports.create_export, Export=export("too-many", bucket))


def report(name, **more):
    return {
        "ReportName": name,
        "TimeUnit": "DAILY",
        "Format": "Parquet",
        "Compression": "Parquet",
        "AdditionalSchemaElements": ["RESOURCES"],
        "S3Bucket": "example-tour-reports",
        "S3Prefix": "p",
        "S3Region": "us-east-1",
        "AdditionalArtifacts": ["ATHENA"],
        "RefreshClosedReports": True,
        "ReportVersioning": "OVERWRITE_REPORT",
    } | more


@check
def reports(sandbox):
    """cur: legacy reports in pages of five, and what AWS does not accept"""
    cur = sandbox.client("cur")
    pages = list(cur.get_paginator("describe_report_definitions").paginate())
    sizes = [len(page["ReportDefinitions"]) for page in pages]
    expect(sum(sizes) == sandbox.facts["reports"] and max(sizes) == 5, sizes)
    deliverable(sandbox, "example-tour-reports")
    cur.put_report_definition(ReportDefinition=report("tour"))
    refused("DuplicateReportNameException", 400, cur.put_report_definition, ReportDefinition=report("tour"))
    for bad in ({"Compression": "GZIP"}, {"S3Bucket": "example-nobodys"}, {"AdditionalArtifacts": ["ATHENA", "REDSHIFT"]}):
        # AWS does not say why.
        refused("ValidationException", 400, cur.put_report_definition, says_why=False, ReportDefinition=report("bad", **bad))
    cur.modify_report_definition(ReportName="tour", ReportDefinition=report("tour", S3Prefix="q"))
    for number in range(sandbox.facts["reports"] + 1, 10):
        cur.put_report_definition(ReportDefinition=report(f"more-{number}"))
    refused("ReportLimitReachedException", 400, cur.put_report_definition, ReportDefinition=report("too-many"))
    cur.delete_report_definition(ReportName="tour")
    names = [found["ReportName"] for page in cur.get_paginator("describe_report_definitions").paginate() for found in page["ReportDefinitions"]]
    expect("tour" not in names and len(names) == 9, names)


@check
def only_in_us_east_1(sandbox):
    """cur: us-east-1 alone answers, and a client of another Region signs for its own"""
    refused("InvalidSignatureException", 400, sandbox.client("cur", region="eu-west-1").describe_report_definitions)


if __name__ == "__main__":
    with Sandbox(sys.argv[1]) as started:
        sys.exit(1 if run(started) else 0)
