"""boto3 against the sandbox's S3."""

import json
import urllib.error
import urllib.request

import botocore.exceptions

from tour import check, expect, refused


@check
def buckets(sandbox):
    """s3: buckets in their Regions, and whose they are"""
    s3, linked = sandbox.client("s3"), sandbox.client("s3", "linked")
    s3.create_bucket(Bucket="example-home")
    s3.create_bucket(Bucket="example-home")
    # A client of a Region makes buckets there.
    ireland = sandbox.client("s3", region="eu-west-1")
    constraint = {"LocationConstraint": "eu-west-1"}
    ireland.create_bucket(Bucket="example-ireland", CreateBucketConfiguration=constraint)
    refused("BucketAlreadyOwnedByYou", 409, ireland.create_bucket, Bucket="example-ireland", CreateBucketConfiguration=constraint)
    refused("BucketAlreadyExists", 409, linked.create_bucket, Bucket="example-home")
    refused("InvalidBucketName", 400, s3.create_bucket, Bucket="Example_Home")
    expect(s3.get_bucket_location(Bucket="example-home")["LocationConstraint"] is None, "us-east-1 has no constraint")
    expect(s3.get_bucket_location(Bucket="example-ireland")["LocationConstraint"] == "eu-west-1", "its Region")
    expect(ireland.head_bucket(Bucket="example-ireland")["BucketRegion"] == "eu-west-1", "HeadBucket names it")
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    expect({"example-home", "example-ireland"} <= set(names), names)
    expect(linked.list_buckets()["Buckets"] == [], "of the caller's account alone")
    refused("403", 403, linked.head_bucket, Bucket="example-home")
    refused("404", 404, s3.head_bucket, Bucket="example-nobodys")
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="example-nobodys")


@check
def redirects(sandbox):
    """s3: a request for another Region names the right one, and boto3 follows"""
    s3 = sandbox.client("s3")
    seen = []

    def note(response_dict, **_):
        seen.append((response_dict["status_code"], response_dict["headers"].get("x-amz-bucket-region")))

    s3.meta.events.register("before-parse.s3", note)
    s3.list_objects_v2(Bucket="example-frankfurt")
    expect(seen[0] == (301, "eu-central-1") and seen[-1][0] == 200, seen)


@check
def settings(sandbox):
    """s3: policy, public access block and encryption of a bucket"""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="example-settings")
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket="example-settings")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "bcm-data-exports.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::example-settings/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket="example-settings", Policy=json.dumps(policy))
    expect(json.loads(s3.get_bucket_policy(Bucket="example-settings")["Policy"]) == policy, "the policy comes back")
    refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket="example-settings", Policy="{}")
    public = {"Version": "2012-10-17", "Statement": [dict(statement, Principal="*", Action="s3:GetObject")]}
    refused("AccessDenied", 403, s3.put_bucket_policy, Bucket="example-settings", Policy=json.dumps(public))
    block = s3.get_public_access_block(Bucket="example-settings")["PublicAccessBlockConfiguration"]
    expect(len(block) == 4 and all(block.values()), block)
    rules = s3.get_bucket_encryption(Bucket="example-settings")["ServerSideEncryptionConfiguration"]["Rules"]
    expect(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", rules)
    s3.put_bucket_encryption(Bucket="example-settings", ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_public_access_block(Bucket="example-settings", PublicAccessBlockConfiguration=block)


@check
def listings(sandbox):
    """s3: listings over pages, with prefix, delimiter and start"""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="example-list")
    for number in range(1_005):
        s3.put_object(Bucket="example-list", Key=f"p/{number:04}/x")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="example-list"))
    expect([page["KeyCount"] for page in pages] == [1_000, 5], [page["KeyCount"] for page in pages])
    keys = [found["Key"] for page in pages for found in page["Contents"]]
    expect(keys == sorted(keys) and len(keys) == 1_005, "in order of key")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="example-list", Prefix="p/", Delimiter="/")
    folders = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
    expect(len(folders) == 1_005 and folders[0] == "p/0000/", folders[:2])
    after = s3.list_objects_v2(Bucket="example-list", StartAfter="p/1003/x")["Contents"]
    expect([found["Key"] for found in after] == ["p/1004/x"], after)
    few = s3.list_objects_v2(Bucket="example-list", MaxKeys=2, Prefix="p/09")
    expect(few["IsTruncated"] and len(few["Contents"]) == 2, few)
    refused("InvalidArgument", 400, s3.list_objects_v2, Bucket="example-list", ContinuationToken="nonsense")
    for start in range(0, 1_005, 1_000):
        gone = [{"Key": key} for key in keys[start : start + 1_000]]
        s3.delete_objects(Bucket="example-list", Delete={"Objects": gone, "Quiet": True})
    expect(s3.list_objects_v2(Bucket="example-list")["KeyCount"] == 0, "all are gone")
    s3.delete_bucket(Bucket="example-list")


@check
def reads(sandbox):
    """s3: ranges, conditions and what is missing"""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="example-reads")
    where = {"Bucket": "example-reads", "Key": "a b/ä+%=.parquet"}
    etag = s3.put_object(**where, Body=b"0123456789")["ETag"]
    for asked, text in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=8-99", b"89")):
        answer = s3.get_object(**where, Range=asked, IfMatch=etag)
        expect(answer["Body"].read() == text, asked)
        expect(answer["ResponseMetadata"]["HTTPStatusCode"] == 206 and answer["ContentRange"].endswith("/10"), answer)
    refused("InvalidRange", 416, s3.get_object, **where, Range="bytes=10-20")
    for call in (s3.get_object, s3.head_object):
        try:
            call(**where, IfNoneMatch=etag)
            raise AssertionError("an unchanged object is sent again")
        except botocore.exceptions.ClientError as error:
            expect(error.response["ResponseMetadata"]["HTTPStatusCode"] == 304, error)
    s3.put_object(**where, Body=b"another version")
    refused("PreconditionFailed", 412, s3.get_object, **where, IfMatch=etag)
    refused("NoSuchKey", 404, s3.get_object, Bucket="example-reads", Key="nothing")
    refused("PreconditionFailed", 412, s3.put_object, **where, Body=b"x", IfNoneMatch="*")
    head = s3.head_object(**where)
    expect(head["ContentLength"] == 15 and head["LastModified"].tzinfo is not None, head)


@check
def uploads(sandbox):
    """s3: an upload in parts"""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="example-parts")
    where = {"Bucket": "example-parts", "Key": "large"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    bodies = [b"a" * (5 << 20), b"b" * 100]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    answer = s3.get_object(**where, Range=f"bytes={(5 << 20) - 1}-{5 << 20}")
    expect(answer["Body"].read() == b"ab" and answer["ETag"].endswith('-2"'), answer["ETag"])
    refused("NoSuchUpload", 404, s3.abort_multipart_upload, **where, UploadId=upload)


@check
def strangers(sandbox):
    """s3: unsigned requests are refused, presigned ones are served"""
    # boto3 presigns with the older signature unless told.
    s3 = sandbox.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="example-signed")
    s3.put_object(Bucket="example-signed", Key="k", Body=b"rows")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "example-signed", "Key": "k"})
    with urllib.request.urlopen(url) as answer:
        expect(answer.read() == b"rows", "the object")
    try:
        urllib.request.urlopen(url.split("?")[0])
        raise AssertionError("an unsigned request is served")
    except urllib.error.HTTPError as error:
        expect(error.code == 403 and b"<Code>AccessDenied</Code>" in error.read(), error)
    refused("AccessDenied", 403, sandbox.client("s3", "linked").get_object, Bucket="example-signed", Key="k")
    refused("AccessDenied", 403, s3.get_object, Bucket="example-signed", Key="k", ExpectedBucketOwner=sandbox.facts["linked"])
