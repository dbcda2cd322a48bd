"""Test mode: a clock that can be put forward and data that can be forgotten, so that a whole test
suite runs against one server.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel.application import ClockAdvancer, DataResetter
from fenchel.errors import FenchelError, bad_request
from fenchel.server.authentication import RequestAuthenticator, require_writer
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response
from fenchel.server.routing import Routes

_CLOCK = ("POST", "/_test/clock")
_RESET = ("POST", "/_test/reset")


class AdvanceBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    advance_ms: int


class ClockResponse(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Milliseconds since the epoch."""

    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteControls:
    """What a backend in test mode offers besides the others."""

    clock: ClockAdvancer
    data: DataResetter


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteHandlers:
    """Both need the admin key; `controls` None refuses both."""

    controls: SuiteControls | None
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        if self.controls is None:
            return Routes(exact={_CLOCK: _refuse, _RESET: _refuse})
        return Routes(exact={_CLOCK: self.advance_clock, _RESET: self.reset})

    async def advance_clock(self, request: Request) -> Response:
        """Answers when everything that fell due has run."""
        require_writer(await self.authenticator.require_admin(request))
        body = await request.read_json(AdvanceBody, bytes_max=self.body_bytes_max)
        assert self.controls is not None
        return json_response(
            ClockResponse(now_ms=await self.controls.clock.advance(body.advance_ms))
        )

    async def reset(self, request: Request) -> Response:
        """An empty 200 when the data is gone."""
        require_writer(await self.authenticator.require_admin(request))
        assert self.controls is not None
        await self.controls.data.reset()
        return Response()


async def _refuse(_request: Request) -> Response:
    raise refusal()


def refusal() -> FenchelError:
    return bad_request(
        "TestModeOff", "This server is not in test mode. Start it with `fenchel serve --test-mode`."
    )
