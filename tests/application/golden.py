"""The recorded push of `fixture/convex`."""

from __future__ import annotations

from pathlib import Path

import brotli  # type: ignore[import-untyped]
import msgspec

from fenchel.application import StartPushRequest

_FIXTURE = Path(__file__).parent / "fixture" / "start_push.json.br"


def golden_push() -> StartPushRequest:
    """The body that the official CLI sent to start_push."""
    return msgspec.json.decode(brotli.decompress(_FIXTURE.read_bytes()), type=StartPushRequest)


def with_source(request: StartPushRequest, path: str, old: str, new: str) -> StartPushRequest:
    """The push with `old` replaced by `new` in one module, which must hold it."""
    modules = request.app_definition.changed_modules
    assert any(m.path == path and old in m.source for m in modules)
    changed = tuple(
        msgspec.structs.replace(m, source=m.source.replace(old, new)) if m.path == path else m
        for m in modules
    )
    definition = msgspec.structs.replace(request.app_definition, changed_modules=changed)
    return msgspec.structs.replace(request, app_definition=definition)
