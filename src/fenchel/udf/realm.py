"""In what kind of realm a query or mutation ran, and why in a fresh one (decision 0027)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class RealmKind(StrEnum):
    """`WARM` ran others before and vouches that nothing is left of them; `REUSED` is what the
    module asked for by `experimental_reuseContext`.
    """

    FRESH = "fresh"
    WARM = "warm"
    REUSED = "reused"


class FreshCause(StrEnum):
    """`APP`: none of its functions can run warm; `FUNCTION`: this one cannot; `AGAIN`: a warm realm
    gave it up, or its worker was lost; `UNREADY`: no warm realm was there, or all were at work.
    """

    APP = "app"
    FUNCTION = "function"
    AGAIN = "again"
    UNREADY = "unready"


class WhyFresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`detail` says what stands in the way; it is the guard's text and may name what the app
    names.
    """

    cause: FreshCause
    detail: Annotated[str, Meta(max_length=65_536)] = ""
