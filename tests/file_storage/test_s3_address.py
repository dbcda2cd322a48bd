"""What `--file-storage` may say."""

from __future__ import annotations

import pytest

from fenchel.errors import FenchelError
from fenchel.file_storage import S3Address, parse_s3_address


def test_bucket_prefix_and_endpoint() -> None:
    address = parse_s3_address("s3://my.Bucket/a/b/?endpoint=http://127.0.0.1:9000")
    assert address == S3Address(bucket="my.Bucket", prefix="a/b", endpoint="http://127.0.0.1:9000")
    assert str(address) == "s3://my.Bucket/a/b"


def test_a_bucket_is_enough() -> None:
    assert parse_s3_address("s3://bucket") == S3Address(bucket="bucket")
    assert str(parse_s3_address("s3://bucket")) == "s3://bucket"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bucket",
        "http://bucket",
        "s3:///prefix",
        "s3://key:secret@bucket",
        "s3://bucket?region=x",
        "s3://bucket?endpoint=ftp://host",
        "s3://bucket?endpoint=",
        "s3://bucket?endpoint=http://a&endpoint=http://b",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FenchelError, match="InvalidFileStorage"):
        parse_s3_address(text)
