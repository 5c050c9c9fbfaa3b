"""Checks with counts at the end, and a sandbox to run them against."""

import datetime
import json
import pathlib
import subprocess
import traceback

import boto3
import botocore.config
import botocore.exceptions

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def expect(condition, shown):
    if not condition:
        raise AssertionError(shown)


def refused(code, status, call, says_why=True, **arguments):
    """The call fails with this code and HTTP status, and with a message. Returns the answer."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        answer = error.response
        found = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
        expect(found == (code, status), f"wants {(code, status)}, gets {found}: {error}")
        expect(answer["Error"].get("Message") or not says_why, f"{code} has no message")
        return answer
    raise AssertionError(f"is not refused with {code}: {answer}")


class Sandbox:
    """The sandbox's process, and clients of it. Every JSON answer is held against AWS's model of its operation."""

    def __init__(self, executable):
        self.process = subprocess.Popen([executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = json.loads(self.process.stdout.readline())
        self.endpoint = self.facts["endpoint"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=20)

    def client(self, service, who="payer", region="us-east-1", **settings):
        key = settings.pop("key", None) or self.facts["keys"][who]
        config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **settings)
        client = boto3.client(service, endpoint_url=self.endpoint, region_name=region, config=config, **key)
        client.meta.events.register("before-parse", fits_the_model)
        return client


def fits_the_model(operation_model, response_dict, **_):
    """A JSON answer has no member that the model does not have, and all of the right type."""
    protocol = operation_model.service_model.metadata["protocol"]
    if protocol == "json" and response_dict["status_code"] < 300:
        compare(json.loads(response_dict["body"]), operation_model.output_shape, operation_model.name)


TYPES = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": (int, float), "double": float}


def compare(value, shape, path):
    if shape is None:
        expect(value in (None, {}), f"{path}: the model has no answer")
    elif shape.type_name == "structure":
        unknown = set(value) - set(shape.members)
        expect(not unknown, f"{path}: the model has no member {unknown}")
        missing = set(shape.required_members) - set(value)
        expect(not missing, f"{path}: the model demands {missing}")
        for name, member in value.items():
            compare(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for member in value:
            compare(member, shape.member, path)
    elif shape.type_name == "map":
        for name, member in value.items():
            compare(member, shape.value, f"{path}[{name}]")
    elif shape.type_name == "timestamp" and shape.serialization.get("timestampFormat") == "iso8601":
        expect(datetime.datetime.fromisoformat(value).tzinfo, f"{path}: {value!r} is no time")
    else:
        expect(isinstance(value, TYPES[shape.type_name]), f"{path}: {value!r} is no {shape.type_name}")
        enum = getattr(shape, "enum", None)
        expect(not enum or value in enum, f"{path}: {value!r} is not one of {enum}")


def run(sandbox):
    """Runs every check. Returns the number of failures."""
    failed = 0
    for function in CHECKS:
        name = (function.__doc__ or function.__name__).strip()
        try:
            function(sandbox)
            print(f"ok      {name}")
        except Exception as error:  # whatever went wrong is the finding
            failed += 1
            ours = [at for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith("_tour.py")]
            where = f"{pathlib.Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
            print(f"FAILED  {name}\n        {where}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return failed
