"""Name and secret of a deployment: what its admin keys are made from. Kept beside its data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fenchel.auth import SECRET_BYTES, KeyBroker, is_instance_name
from fenchel.errors import ErrorKind, FenchelError, bad_request
from fenchel.runtime import Runtime

DEFAULT_NAME = "convex-self-hosted"
_FILE_NAME = "instance.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """`secret` has SECRET_BYTES bytes; whoever knows it can make admin keys."""

    name: str
    secret: bytes


class _InstanceFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    secret_hex: str


def load_or_create_instance(data_dir: Path, runtime: Runtime) -> Instance:
    """What `data_dir` holds; a fresh name and secret the first time, readable by the owner only.

    Raises: DataDirectoryNotWritable, InstanceFileInvalid.
    """
    path = data_dir / _FILE_NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, runtime)
        return _decode(path.read_bytes(), path)
    except OSError as error:
        raise FenchelError(
            ErrorKind.OPERATIONAL,
            "DataDirectoryNotWritable",
            f"Cannot use the data directory {data_dir}: {error.strerror or error}. "
            "Check its permissions or choose another one with --data-dir.",
        ) from error


def decode_secret(text: str) -> bytes:
    """Raises: InvalidInstanceSecret."""
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise bad_request(
            "InvalidInstanceSecret",
            f"The instance secret must be {2 * SECRET_BYTES} hexadecimal digits.",
        )
    return secret


def open_key_broker(instance: Instance) -> KeyBroker:
    """Raises: InvalidInstanceName."""
    if not is_instance_name(instance.name):
        raise bad_request(
            "InvalidInstanceName",
            f"The instance name {instance.name!r} must consist of letters, digits, underscores and "
            "hyphens, and begin with a letter.",
        )
    return KeyBroker(instance.name, instance.secret)


def _create(path: Path, runtime: Runtime) -> None:
    """Complete under its name or absent, also after a crash; the first of two processes wins."""
    content = _InstanceFile(
        name=DEFAULT_NAME, secret_hex=runtime.randomness.token_bytes(SECRET_BYTES).hex()
    )
    scratch = path.with_name(f"{_FILE_NAME}.{runtime.randomness.uuid4()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(content))
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)
    except FileExistsError:
        return
    finally:
        scratch.unlink()


def _decode(data: bytes, path: Path) -> Instance:
    try:
        content = msgspec.json.decode(data, type=_InstanceFile)
        return Instance(name=content.name, secret=decode_secret(content.secret_hex))
    except (msgspec.DecodeError, FenchelError) as error:
        raise FenchelError(
            ErrorKind.OPERATIONAL,
            "InstanceFileInvalid",
            f"{path} is damaged: restore it from a backup, or delete it to make new keys.",
        ) from error
