"""The S3 side, as an unmodified boto3 uses it."""

import io
import random
from pathlib import Path

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from harness.aws import Aws
from harness.processes import PeakMemory
from harness.server import Server

BUCKET = "side-bucket"


@pytest.fixture(scope="module")
def s3(cloud: Aws):
    cloud.s3.create_bucket(Bucket=BUCKET)
    return cloud.s3


def test_a_bucket_is_made_again_in_the_oldest_region_alone(s3, cloud: Aws) -> None:
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    s3.create_bucket(Bucket=BUCKET)
    assert s3.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    s3.delete_object(Bucket=BUCKET, Key="kept")
    elsewhere = cloud.client("s3", region_name="eu-west-1")
    bucket = {"Bucket": "elsewhere-bucket", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    elsewhere.create_bucket(**bucket)
    with pytest.raises(elsewhere.exceptions.BucketAlreadyOwnedByYou):
        elsewhere.create_bucket(**bucket)
    elsewhere.delete_bucket(Bucket="elsewhere-bucket")


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 20_000_000], ids=["empty", "byte", "plain", "multipart"])
def test_a_file_comes_back_as_it_went(s3, tmp_path: Path, size: int) -> None:
    """boto3 goes over to several parts above 8 MB."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(noise(size))
    key = f"files/{size} ünïcode.bin"
    s3.upload_file(str(source), BUCKET, key)
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == size
    s3.download_file(BUCKET, key, str(copy))
    assert copy.read_bytes() == source.read_bytes()
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ClientError) as gone:
        s3.head_object(Bucket=BUCKET, Key=key)
    assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_large_upload_is_not_held_in_memory(s3, simulated: Server) -> None:
    memory = PeakMemory(simulated.pid)
    config = TransferConfig(multipart_threshold=64 << 20, max_concurrency=2)
    s3.upload_fileobj(io.BytesIO(bytes(60 << 20)), BUCKET, "large", Config=config)
    assert memory.growth_mib() < 24
    s3.delete_object(Bucket=BUCKET, Key="large")


def test_a_body_in_signed_chunks(s3) -> None:
    """boto3 sends `aws-chunked` with a trailing checksum when it cannot rewind the body."""

    class Unseekable(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._inner = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self._inner.read(size)

    content = noise(3_000_000)
    s3.upload_fileobj(Unseekable(content), BUCKET, "chunks")
    assert s3.get_object(Bucket=BUCKET, Key="chunks")["Body"].read() == content
    for algorithm in ("CRC32", "SHA256"):
        s3.put_object(Bucket=BUCKET, Key="checked", Body=content, ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket=BUCKET, Key="checked")["Body"].read() == content
    s3.put_object(Bucket=BUCKET, Key="metadata", Body=b"x", Metadata={"made-by": "a-test"}, ContentType="text/x")
    head = s3.head_object(Bucket=BUCKET, Key="metadata")
    assert (head["Metadata"], head["ContentType"]) == ({"made-by": "a-test"}, "text/x")


def test_ranges_and_missing_keys(s3) -> None:
    s3.put_object(Bucket=BUCKET, Key="range", Body=b"0123456789")
    assert s3.get_object(Bucket=BUCKET, Key="range", Range="bytes=2-4")["Body"].read() == b"234"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="none")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="no-such-bucket")


def test_lists_have_prefixes_folders_and_pages(s3) -> None:
    keys = [f"list/{folder}/{number}" for folder in "ab" for number in range(3)]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="list/", MaxKeys=2))
    assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    assert [page["KeyCount"] for page in pages] == [2, 2, 2]
    folders = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/")
    assert [entry["Prefix"] for entry in folders["CommonPrefixes"]] == ["list/a/", "list/b/"]
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="nothing")["KeyCount"] == 0


@pytest.mark.parametrize("key", ["../../escape", "a/../../b", "/absolute", "..", "a//b", "x" * 1024])
def test_keys_are_names_and_not_paths(s3, simulated: Server, key: str) -> None:
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"content")
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
    else:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"content"
    assert not (simulated.folder / "escape").exists()
    assert not (simulated.folder.parent / "escape").exists()


def test_no_request_follows_a_body_that_was_refused(s3) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="there-is-none", Key="large", Body=bytes(1 << 20))
    answer = refused.value.response["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 404
    assert answer["HTTPHeaders"].get("connection") == "close"


def test_a_wrong_secret(simulated: Server, cloud: Aws) -> None:
    stranger = boto3.client(
        "s3",
        endpoint_url=simulated.url,
        region_name="us-east-1",
        aws_access_key_id=cloud.access_key,
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError) as refused:
        stranger.list_objects_v2(Bucket=BUCKET)
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
