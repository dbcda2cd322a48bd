"""What `convex export` asks for (database specification 10.3, deploy-protocol 3.7)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel.application import ExportService
from fenchel.errors import FenchelError, bad_request
from fenchel.server.authentication import RequestAuthenticator, require_writer
from fenchel.server.request import Request
from fenchel.server.response import FileBody, Response, text_response
from fenchel.server.routing import Routes

_DOWNLOAD = "/api/export/zip/"
_SET_EXPIRATION = "/api/export/set_expiration/"
_CANCEL = "/api/export/cancel/"
_BOOLEANS = {"true": True, "false": False}


class _ExpirationBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    expiration_ts_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHandlers:
    """Every endpoint needs an admin; a read-only one may download."""

    exports: ExportService
    instance_name: str
    authenticator: RequestAuthenticator
    body_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={("POST", "/api/export/request/zip"): self.request_export},
            prefixes={
                ("GET", _DOWNLOAD): self.download,
                ("POST", _SET_EXPIRATION): self.set_expiration,
                ("POST", _CANCEL): self.cancel,
            },
        )

    async def request_export(self, request: Request) -> Response:
        """Answers when the export is recorded; it is made in the background."""
        require_writer(await self.authenticator.require_admin(request))
        if request.query.get("component"):
            raise _bad_query("An export has the app and all components; leave `component` out.")
        text = request.query.get("includeStorage", "false")
        include_storage = _BOOLEANS.get(text)
        if include_storage is None:
            raise _bad_query(f"includeStorage must be true or false, not {text!r}.")
        await self.exports.request(include_storage=include_storage)
        return text_response("")

    async def download(self, request: Request) -> Response:
        await self.authenticator.require_admin(request)
        export = await self.exports.open(request.path.removeprefix(_DOWNLOAD))
        name = f"snapshot_{self.instance_name}_{export.start_ts}.zip"
        return Response(
            content_type="application/zip",
            headers=(
                # The CLI takes everything behind the sign as the name, so there are no quotes.
                (b"content-disposition", f"attachment; filename={name}".encode()),
                (b"cache-control", b"private, max-age=2592000"),
            ),
            file=FileBody(file=export.file, size_bytes=export.size_bytes),
        )

    async def set_expiration(self, request: Request) -> Response:
        require_writer(await self.authenticator.require_admin(request))
        body = await request.read_json(_ExpirationBody, bytes_max=self.body_bytes_max)
        export_id = request.path.removeprefix(_SET_EXPIRATION)
        await self.exports.set_expiration(export_id, body.expiration_ts_ns)
        return text_response("")

    async def cancel(self, request: Request) -> Response:
        require_writer(await self.authenticator.require_admin(request))
        await self.exports.cancel(request.path.removeprefix(_CANCEL))
        return text_response("")


def _bad_query(message: str) -> FenchelError:
    return bad_request("BadQueryArgs", message)
