"""Starts moto on a free loopback port, puts an organization into it, and runs a command against it.

    moto_ground.py command argument...

The command finds the endpoint and two administrators' keys in variables FARTHING_CONFORMANCE_*. Its status is this one's.
"""

import json
import logging
import os
import subprocess
import sys
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

# One line for each request is too much.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
MEMBERS = 25
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Moto:
    """A running moto with an organization."""

    def __enter__(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(self, *_):
        self.server.stop()

    def client(self, service, key=None, region="us-east-1"):
        key = key or {"aws_access_key_id": "AKIAFARTHINGEXAMPLE1", "aws_secret_access_key": "not-a-real-secret"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=region, **key)

    def user(self, name, policies, key=None):
        """A user with inline policies, and its key."""
        iam = self.client("iam", key)
        iam.create_user(UserName=name)
        for number, policy in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}

    def organization(self):
        """Makes an organization with accounts. Returns a session in the first of them."""
        organizations = self.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        ids = []
        for number in range(MEMBERS):
            made = organizations.create_account(Email=f"aws+{number}@example.com", AccountName=f"member-{number}")
            ids.append(made["CreateAccountStatus"]["AccountId"])
        role = f"arn:aws:iam::{ids[0]}:role/OrganizationAccountAccessRole"
        session = self.client("sts").assume_role(RoleArn=role, RoleSessionName="setup")["Credentials"]
        return {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }

    def enforce(self):
        """From now on signatures are checked and policies evaluated."""
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth",
            data=b"0",
            headers={"Content-Type": "application/octet-stream"},
            method="POST",
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200, answer.status


def main(command):
    with Moto() as moto:
        owner = moto.user("admin", [ALL])
        other = moto.user("admin", [ALL], moto.organization())
        moto.enforce()
        environment = dict(os.environ, FARTHING_CONFORMANCE_IMPLEMENTATION="moto", FARTHING_CONFORMANCE_ENDPOINT=moto.endpoint)
        for whose, key in (("", owner), ("OTHER_", other)):
            for part in ("access_key_id", "secret_access_key"):
                environment[f"FARTHING_CONFORMANCE_{whose}{part.upper()}"] = key[f"aws_{part}"]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
