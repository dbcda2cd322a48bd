"""The text that names an S3-compatible store: `s3://bucket/prefix?endpoint=http://host:port`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from fenchel.errors import FenchelError, bad_request


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """`prefix` without slashes at its ends, "" for none; without an `endpoint` it is AWS.

    Keys, region and the like come from the usual AWS_* variables.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_s3_address(text: str) -> S3Address:
    """Raises: InvalidFileStorage."""
    parts = urlsplit(text)
    if parts.scheme != "s3" or not parts.hostname or parts.username is not None:
        raise _invalid(f"{text!r} is not like s3://bucket/prefix?endpoint=https://host")
    options = parse_qs(parts.query, keep_blank_values=True)
    endpoints = options.pop("endpoint", [None])
    if options or len(endpoints) != 1:
        raise _invalid("The only option of a file storage is `endpoint`, once")
    endpoint = endpoints[0]
    if endpoint is not None and urlsplit(endpoint).scheme not in {"http", "https"}:
        raise _invalid(f"The endpoint {endpoint!r} is not an http or https URL")
    return S3Address(bucket=parts.netloc, prefix=parts.path.strip("/"), endpoint=endpoint)


def _invalid(message: str) -> FenchelError:
    return bad_request("InvalidFileStorage", f"{message}.")
