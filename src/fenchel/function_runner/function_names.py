"""Names, references and handles of functions, looked up in the deployed code (execution 2.11, 6.7).

What a look-up reads becomes a read of the caller: a push that changes the answer invalidates it.
"""

from __future__ import annotations

from fenchel.database import Database, Transaction
from fenchel.definitions import FunctionPath, decode_function_path
from fenchel.errors import FenchelError, bad_request
from fenchel.function_runner.code_source import CodeSource
from fenchel.isolate import Address
from fenchel.model import decode_function_handle, encode_function_handle, get_component

_FUNCTION_REFERENCE = "_reference/function/"
_CHILD_REFERENCE = "_reference/childComponent/"


class DeployedFunctionNames:
    """An `isolate.FunctionNames`."""

    def __init__(self, database: Database, code_source: CodeSource) -> None:
        self._database = database
        self._code_source = code_source

    async def resolve_address(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> FunctionPath:
        if address.name is not None:
            return decode_function_path(address.name, component=component)
        transaction = transaction or self._database.begin()
        if address.reference is not None:
            return await self._resolve_reference(transaction, address.reference, component)
        if address.function_handle is not None:
            return await decode_function_handle(transaction, address.function_handle)
        raise bad_request("InvalidArgument", "Missing required argument 'name'")

    async def create_function_handle(
        self, transaction: Transaction | None, address: Address, component: str
    ) -> str:
        transaction = transaction or self._database.begin()
        path = await self.resolve_address(transaction, address, component)
        return await encode_function_handle(transaction, path)

    async def _resolve_reference(
        self, transaction: Transaction, reference: str, component: str
    ) -> FunctionPath:
        if reference.startswith(_FUNCTION_REFERENCE):
            path = reference.removeprefix(_FUNCTION_REFERENCE)
            return decode_function_path(path, component=component)
        if reference.startswith(_CHILD_REFERENCE):
            child, *parts = reference.removeprefix(_CHILD_REFERENCE).split("/")
            return await self._resolve_export(transaction, component, child, parts)
        raise bad_request("InvalidReference", f"Couldn't resolve {reference}")

    async def _resolve_export(
        self, transaction: Transaction, component: str, child: str, parts: list[str]
    ) -> FunctionPath:
        """A public function of a child. Its internal ones seem not to exist."""
        child_path = f"{component}/{child}" if component else child
        row = await get_component(transaction, child_path)
        if row is None or not row.is_active:
            raise bad_request("InvalidReference", f'Child component "{child}" not found')
        if len(parts) < 2:
            raise _not_exported(child, parts)
        *module, name = parts
        try:
            path = decode_function_path(f"{'/'.join(module)}:{name}", component=child_path)
        except FenchelError as error:
            raise _not_exported(child, parts) from error
        function = await self._code_source.load_function(transaction, path)
        if function is None or function.is_internal:
            raise _not_exported(child, parts)
        return path


def _not_exported(child: str, parts: list[str]) -> FenchelError:
    names = ", ".join(parts)
    return bad_request("InvalidReference", f'Child component "{child}" does not export [{names}]')
