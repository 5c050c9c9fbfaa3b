"""The onboarding guide's policies, judged by the sandbox and by moto: the same users, the same calls.

    policy_table.py path/to/ground

Each row is a call and the users that AWS lets make it (Service Authorization Reference): `1` option 1, `2` option 2 with the
discovery policy, `3` the discovery policy alone. A user without policies may make none. Where an implementation is known to
decide otherwise, the row is "not judged" for it, with the reason. Prints the counts of each; the status is 0 only if nothing
failed.
"""

import json
import pathlib
import sys

import botocore.exceptions
from moto_ground import Moto
from tour import Sandbox

GUIDE = pathlib.Path(__file__).parents[2] / "sandbox/src/aws/tests/guide"
BUCKET, OTHER = "example-guide", "example-other"
# moto answers JSON services in XML, in which boto3 finds the status alone.
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}

HEAD = "HeadBucket is taken for an action s3:HeadBucket of its own"
BLOCK = "asks for s3:ListBucket"

# Service, operation, arguments, who may, and why moto is not judged.
TABLE = [
    ("sts", "get_caller_identity", {}, "123-", None),
    ("s3", "list_buckets", {}, "123", None),
    ("s3", "head_bucket", {"Bucket": BUCKET}, "12", HEAD),
    ("s3", "list_objects_v2", {"Bucket": BUCKET}, "12", None),
    ("s3", "list_objects_v2", {"Bucket": OTHER}, "2", None),
    ("s3", "get_object", {"Bucket": BUCKET, "Key": "k"}, "12", None),
    ("s3", "get_object", {"Bucket": OTHER, "Key": "k"}, "2", None),
    ("s3", "get_object", {"Bucket": BUCKET, "Key": "k", "Range": "bytes=0-1"}, "12", None),
    ("s3", "get_bucket_location", {"Bucket": BUCKET}, "123", None),
    ("s3", "get_bucket_policy", {"Bucket": BUCKET}, "123", None),
    ("s3", "get_public_access_block", {"Bucket": BUCKET}, "123", BLOCK),
    ("s3", "get_bucket_versioning", {"Bucket": BUCKET}, "123", None),
    ("s3", "put_object", {"Bucket": BUCKET, "Key": "new", "Body": b"x"}, "", None),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "k"}, "", None),
    ("s3", "delete_bucket", {"Bucket": OTHER}, "", None),
    ("s3", "put_bucket_policy", {"Bucket": BUCKET, "Policy": None}, "2", None),
    ("s3", "delete_bucket_policy", {"Bucket": BUCKET}, "", None),
    ("s3", "create_bucket", {"Bucket": "example-made"}, "2", None),
    ("iam", "create_user", {"UserName": "made"}, "", None),
    ("iam", "create_access_key", {"UserName": "option-1"}, "", None),
    ("iam", "list_access_keys", {"UserName": "option-1"}, "123", None),
    ("organizations", "describe_organization", {}, "", None),
    ("organizations", "list_accounts", {}, "", None),
]
# What moto does not have at all, and the sandbox judges alone.
BILLING = [
    ("cur", "describe_report_definitions", {}, "123", "is missing"),
    ("bcm-data-exports", "list_exports", {}, "2", "is missing"),
    ("bcm-data-exports", "list_tables", {}, "", "is missing"),
]
USERS = {"1": "option-1", "2": "option-2", "3": "option-3", "-": "nobody"}


def policies(account):
    def read(name):
        text = (GUIDE / name).read_text().replace("<bucket_name>", BUCKET).replace("<AWS_account_ID>", account)
        return json.loads(text)

    option_1, option_2 = read("option-1.json"), read("option-2.json")
    discovery = {"Version": option_1["Version"], "Statement": [option_1["Statement"][3]]}
    held = {"1": [option_1], "2": [option_2, discovery], "3": [discovery], "-": []}
    return held, read("bucket-policy.json")


def allowed(client, operation, arguments):
    """Whether the call passes the policies; what else is wrong with it does not matter here."""
    try:
        getattr(client, operation)(**arguments)
        return True
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"] not in DENIED


def judge(implementation, client, table, bucket_policy):
    passed = failed = skipped = 0
    for service, operation, arguments, may, reason in table:
        arguments = {name: json.dumps(bucket_policy) if value is None else value for name, value in arguments.items()}
        decided = "".join(user for user in USERS if allowed(client(service, user), operation, arguments))
        row = f"{service} {operation} {arguments.get('Bucket', '')}".rstrip()
        if decided == may:
            passed += 1
            if implementation == "moto" and reason:
                print(f"FAILED  {implementation}: {row} is right: take it from the list of what is not judged ({reason})")
                failed += 1
        elif implementation == "moto" and reason:
            print(f"not judged  {implementation}: {row}: {reason}")
            skipped += 1
        else:
            print(f"FAILED  {implementation}: {row}: allowed to '{decided}', and AWS allows it to '{may}'")
            failed += 1
    print(f"{implementation}: {passed} passed, {failed} failed, {skipped} not judged")
    return failed


def prepare(s3):
    for bucket in (BUCKET, OTHER):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="k", Body=b"rows")


def on_sandbox(executable):
    with Sandbox(executable) as sandbox:
        _, bucket_policy = policies(sandbox.facts["payer"])
        keys = sandbox.facts["keys"]
        prepare(sandbox.client("s3"))

        def client(service, user):
            return sandbox.client(service, key=keys["nobody" if user == "-" else USERS[user]])

        return judge("sandbox", client, TABLE + BILLING, bucket_policy)


def on_moto():
    with Moto() as moto:
        held, bucket_policy = policies("123456789012")
        keys = {user: moto.user(name, held[user]) for user, name in USERS.items()}
        prepare(moto.client("s3"))
        moto.client("organizations").create_organization(FeatureSet="ALL")
        moto.enforce()
        return judge("moto", lambda service, user: moto.client(service, keys[user]), TABLE, bucket_policy)


if __name__ == "__main__":
    sys.exit(1 if on_sandbox(sys.argv[1]) + on_moto() else 0)
