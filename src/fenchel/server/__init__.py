"""The edge: HTTP, the sync socket, and the composition root."""

from fenchel.auth import SECRET_BYTES
from fenchel.server.composition import Backend, ServeOptions, compose
from fenchel.server.instance import (
    DEFAULT_NAME,
    Instance,
    decode_secret,
    load_or_create_instance,
    open_key_broker,
)

__all__ = [
    "DEFAULT_NAME",
    "SECRET_BYTES",
    "Backend",
    "Instance",
    "ServeOptions",
    "compose",
    "decode_secret",
    "load_or_create_instance",
    "open_key_broker",
]
