"""Modules to one script: the native esbuild, in a folder of its own, with nothing but the modules
in reach.

Why bundle what the CLI has bundled already: pushed modules share chunks through imports, and a
context that evaluates one script is several times cheaper than one that links modules. The virtual
entry makes each module a thunk, so evaluation stays lazy, in import order and once per context, as
with real modules.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec

from fenchel.definitions import decode_module_path
from fenchel.errors import FenchelError, bad_request, internal_error
from fenchel.isolate.code_bundle import BundleInputs, CodeBundle, ModuleSource
from fenchel.isolate.dynamic_imports import DynamicImports
from fenchel.isolate.repl_wrappers import REPL_WRAPPERS_IMPORT, REPL_WRAPPERS_PATH
from fenchel.isolate.spawn import BUNDLED_FOLDER, kill_group, limit_process

logger = logging.getLogger(__name__)

_FORMAT_VERSION = b"fenchel-bundle-4"
_BUNDLE_SECONDS_MAX = 60.0
_ESBUILD_BYTES_MAX = 4 << 30
_MESSAGE_CHARACTERS_MAX = 20_000
_ENTRY = "__fenchel_entry.js"
_OUTPUT = "__fenchel_bundle.js"
_METAFILE = "__fenchel_metafile.json"
_TOP_LEVEL_AWAIT = "Top-level await is currently not supported"
_EMPTY_MAP = '{"version":3,"sources":[],"names":[],"mappings":""}'
_OPTIONS = (
    "--bundle",
    "--format=iife",
    "--platform=neutral",
    "--target=es2022",
    "--charset=utf8",
    "--sourcemap=external",
    "--sources-content=false",
    # Modules are strict, and the linker leaves a script.
    '--banner:js="use strict";',
    "--log-level=error",
    "--color=false",
    "--tsconfig-raw={}",
    # A script has no meta; the runtime's getter says so to whoever asks.
    "--define:import.meta=__fenchelImportMeta",
    "--preserve-symlinks",
    f"--metafile={_METAFILE}",
    f"--outfile={_OUTPUT}",
    _ENTRY,
)


# Async functions become generators whose every step goes through `Promise.prototype.then`: the only
# place where the realm can make the stores of AsyncLocalStorage follow an `await`. It costs time
# and the `async` frames of stacks, so only apps pay that name one of the classes.
_ASYNC_CONTEXT_NAMES = ("AsyncLocalStorage", "AsyncResource")
_ASYNC_CONTEXT_OPTIONS = (
    "--supported:async-await=false",
    "--supported:async-generator=false",
    "--supported:for-await=false",
)

_ERROR_PLACE = re.compile(r"^ +(\S.*):\d+:\d+:$", re.MULTILINE)
_REPL_WRAPPERS_OPTION = f"--alias:{REPL_WRAPPERS_IMPORT}=./{REPL_WRAPPERS_PATH}"


class _Metafile(msgspec.Struct):
    inputs: dict[str, dict[str, object]]


class Bundler:
    """Turns pushed modules into code bundles. Stateless; runs may overlap up to a small number."""

    def __init__(self, *, esbuild: Path = BUNDLED_FOLDER / "esbuild", parallelism: int = 2) -> None:
        self._esbuild = esbuild
        self._slots = asyncio.Semaphore(parallelism)

    async def bundle(self, inputs: BundleInputs, *, is_app: bool = True) -> CodeBundle:
        """One script of all isolate modules. Modules for Node are left out.

        Raises: bad request `InvalidModules` if the modules do not fit together.
        """
        modules = [m for m in inputs.modules if m.environment == "isolate"]
        for module in modules:
            if decode_module_path(module.path) != module.path:
                raise bad_request("InvalidModules", f"{module.path} is not a canonical module path")
        runnable = tuple(m.path for m in modules if not _is_chunk(m.path))
        if inputs.entry is not None:
            runnable = (inputs.entry,)
        async with self._slots:
            script, source_map = await self._run(modules, runnable)
        return CodeBundle(
            key=_bundle_key(inputs, modules),
            script=script,
            source_map=source_map,
            modules=runnable,
            environment_variables=inputs.environment_variables,
            import_seed=inputs.import_seed,
            import_unix_ms=inputs.import_unix_ms,
            is_app=is_app,
        )

    async def _run(
        self, modules: list[ModuleSource], runnable: tuple[str, ...]
    ) -> tuple[bytes, bytes]:
        known_paths = {m.path for m in modules}
        imports = DynamicImports(modules)
        options = (f"--define:{imports.name}=__fenchelImport", *_options_for(modules))
        with tempfile.TemporaryDirectory(prefix="fenchel-bundle-") as name:
            folder = Path(name)
            await asyncio.to_thread(_write_inputs, folder, modules, runnable, imports)
            errors = await self._run_esbuild(folder, options)
            if errors is not None:
                raise _invalid_modules(errors, known_paths)
            return await asyncio.to_thread(_read_outputs, folder, known_paths)

    async def _run_esbuild(self, folder: Path, options: tuple[str, ...]) -> str | None:
        """The error messages, or None if esbuild was content."""
        process = await asyncio.create_subprocess_exec(
            str(self._esbuild),
            *options,
            cwd=folder,
            env={"TZ": "UTC"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        limit_process(process.pid, data_bytes_max=_ESBUILD_BYTES_MAX)
        try:
            async with asyncio.timeout(_BUNDLE_SECONDS_MAX):
                _, errors = await process.communicate()
        except TimeoutError as error:
            raise bad_request("InvalidModules", "Bundling the modules took too long.") from error
        finally:
            if process.returncode is None:
                kill_group(process.pid)
                await process.wait()
        return None if process.returncode == 0 else errors.decode(errors="replace")


def _options_for(modules: list[ModuleSource]) -> tuple[str, ...]:
    names_classes = any(name in m.source for m in modules for name in _ASYNC_CONTEXT_NAMES)
    options = (*_ASYNC_CONTEXT_OPTIONS, *_OPTIONS) if names_classes else _OPTIONS
    has_wrappers = any(m.path == REPL_WRAPPERS_PATH for m in modules)
    return (_REPL_WRAPPERS_OPTION, *options) if has_wrappers else options


def _is_chunk(path: str) -> bool:
    return path.startswith(("_deps/", "actions/_deps/"))


def _write_inputs(
    folder: Path,
    modules: list[ModuleSource],
    runnable: tuple[str, ...],
    imports: DynamicImports,
) -> None:
    for module in modules:
        path = folder / module.path
        path.parent.mkdir(parents=True, exist_ok=True)
        source = imports.rewrite(module)
        # esbuild composes the map that the last such comment names; it must not look for another
        # one.
        if module.source_map is not None or "sourceMappingURL=" in source:
            source += f"\n//# sourceMappingURL={path.name}.map\n"
            path.with_name(f"{path.name}.map").write_text(module.source_map or _EMPTY_MAP)
        path.write_text(source)
    entry = f"{_entry_of(runnable, imports.targets)}//# sourceMappingURL={_ENTRY}.map\n"
    (folder / _ENTRY).write_text(entry)
    # A map that maps only what lies behind the end keeps the entry out of the bundle's map, and so
    # out of stack traces; a map without any mapping would be ignored.
    (folder / f"{_ENTRY}.map").write_text(
        json.dumps({**json.loads(_EMPTY_MAP), "sources": [_ENTRY], "mappings": _after(entry)})
    )


def _entry_of(runnable: Iterable[str], imported: Iterable[str]) -> str:
    thunks = ",\n".join(
        f"  {json.dumps(path)}: () => require({json.dumps(f'./{path}')})" for path in runnable
    )
    imports = ",\n".join(f"  () => import({json.dumps(f'./{path}')})" for path in imported)
    return (
        f"globalThis.__fenchelModules = {{\n{thunks}\n}};\n"
        f"globalThis.__fenchelImports = [\n{imports}\n];\n"
    )


def _after(text: str) -> str:
    """Mappings with one entry, below the last line of `text`."""
    return ";" * (text.count("\n") + 1) + "AAAA"


def _read_outputs(folder: Path, known_paths: set[str]) -> tuple[bytes, bytes]:
    """Script and source map, once it is sure that nothing else on this machine went into them."""
    metafile = msgspec.json.decode((folder / _METAFILE).read_bytes(), type=_Metafile)
    for path in metafile.inputs:
        if path not in known_paths and path != _ENTRY and not path.startswith("<"):
            raise _not_pushed(path)
    output = folder / _OUTPUT
    return output.read_bytes(), output.with_name(f"{_OUTPUT}.map").read_bytes()


def _not_pushed(path: str) -> FenchelError:
    name = PurePosixPath(path).name
    return bad_request("InvalidModules", f"A module imports {name}, which was not pushed.")


def _invalid_modules(errors: str, known_paths: set[str]) -> FenchelError:
    """What is wrong, in esbuild's words, which quote lines of the files that they are about: of
    files that were not pushed nothing may be told.
    """
    if not errors.strip():
        return internal_error("esbuild failed without a message")
    places = _ERROR_PLACE.findall(errors)
    for path in places:
        if path not in known_paths and path != _ENTRY:
            return _not_pushed(path)
    if _TOP_LEVEL_AWAIT in errors:
        where = f": {places[0]}" if places else ""
        text = "Top-level awaits in source files are unsupported"
        return bad_request("InvalidModules", text + where)
    return bad_request(
        "InvalidModules",
        f"The modules do not fit together:\n{errors[:_MESSAGE_CHARACTERS_MAX]}",
    )


def _bundle_key(inputs: BundleInputs, modules: list[ModuleSource]) -> str:
    digest = hashlib.sha256(_FORMAT_VERSION)
    parts = [
        *(f"{m.path}\0{m.source}\0{m.source_map or ''}" for m in modules),
        *(f"{name}={value}" for name, value in sorted(inputs.environment_variables.items())),
        inputs.import_seed.hex(),
        str(inputs.import_unix_ms),
        *([] if inputs.entry is None else [inputs.entry]),
    ]
    for part in parts:
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()
