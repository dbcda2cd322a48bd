"""What `convex import` asks for (database specification 10.4, deploy-protocol 3.6)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fenchel.application import ImportRequest, ImportService
from fenchel.errors import FenchelError, bad_request
from fenchel.model import ImportFormatName, ImportMode
from fenchel.server.authentication import RequestAuthenticator, require_writer
from fenchel.server.request import Request
from fenchel.server.response import Response, json_response, text_response
from fenchel.server.routing import Routes


class _Target(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    format: ImportFormatName
    mode: ImportMode = "requireEmpty"
    table_name: str | None = None
    component_path: str | None = None


class _FinishUploadBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    import_: _Target = msgspec.field(name="import")
    upload_token: str
    part_tokens: list[str]


class _ImportBody(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    import_id: str


class _UploadStarted(msgspec.Struct, rename="camel", frozen=True):
    upload_token: str


class _UploadFinished(msgspec.Struct, rename="camel", frozen=True):
    import_id: str


class _Imported(msgspec.Struct, rename="camel", frozen=True):
    num_written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportHandlers:
    """Every endpoint needs an admin who may write."""

    imports: ImportService
    authenticator: RequestAuthenticator
    body_bytes_max: int
    part_bytes_max: int

    @property
    def routes(self) -> Routes:
        return Routes(
            exact={
                ("POST", "/api/import"): self.import_file,
                ("POST", "/api/import/start_upload"): self.start_upload,
                ("POST", "/api/import/upload_part"): self.upload_part,
                ("POST", "/api/import/finish_upload"): self.finish_upload,
                ("POST", "/api/perform_import"): self.perform,
                ("POST", "/api/cancel_import"): self.cancel,
            }
        )

    async def import_file(self, request: Request) -> Response:
        """The whole file in the body; answers when it is imported."""
        await self._require_writer(request)
        try:
            target = msgspec.convert(request.query, _Target)
        except msgspec.ValidationError as error:
            raise _bad_query(str(error)) from error
        written = await self.imports.import_file(_decode_target(target), request.stream_body())
        return json_response(_Imported(written))

    async def start_upload(self, request: Request) -> Response:
        await self._require_writer(request)
        return json_response(_UploadStarted(self.imports.start_upload()))

    async def upload_part(self, request: Request) -> Response:
        await self._require_writer(request)
        number = request.query.get("partNumber", "")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise _bad_query(f"partNumber must be a number, not {number!r}.")
        content = await request.read_body(self.part_bytes_max, code="InvalidImport")
        token = request.query.get("uploadToken", "")
        return json_response(await self.imports.upload_part(token, int(number), content))

    async def finish_upload(self, request: Request) -> Response:
        await self._require_writer(request)
        body = await request.read_json(_FinishUploadBody, bytes_max=self.body_bytes_max)
        import_id = await self.imports.finish_upload(
            _decode_target(body.import_), body.upload_token, body.part_tokens
        )
        return json_response(_UploadFinished(import_id))

    async def perform(self, request: Request) -> Response:
        """Answers when the state has changed, because the CLI subscribes again at once."""
        await self._require_writer(request)
        body = await request.read_json(_ImportBody, bytes_max=self.body_bytes_max)
        await self.imports.perform(body.import_id)
        return text_response("")

    async def cancel(self, request: Request) -> Response:
        await self._require_writer(request)
        body = await request.read_json(_ImportBody, bytes_max=self.body_bytes_max)
        await self.imports.cancel(body.import_id)
        return text_response("")

    async def _require_writer(self, request: Request) -> None:
        require_writer(await self.authenticator.require_admin(request))


def _decode_target(target: _Target) -> ImportRequest:
    return ImportRequest(
        format=target.format,
        mode=target.mode,
        table_name=target.table_name,
        component_path=target.component_path,
    )


def _bad_query(message: str) -> FenchelError:
    return bad_request("BadQueryArgs", message)
