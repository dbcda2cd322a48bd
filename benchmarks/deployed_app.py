"""A server, an app of a wanted size, and commands of the official CLI with what they cost."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import ROOT
from benchmarks.process_usage import tree_cpu_seconds
from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer, free_port

_PACKAGES = ROOT / "tests/end_to_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took: of the wall clock, and of the processor in the CLI and the server with
    all its processes."""

    wall_seconds: float
    cli_seconds: float
    server_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedApp:
    """`app.folder` is scratch. Nothing is deployed yet."""

    app: ConvexApp
    server: FenchelServer

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.app.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str) -> Cost:
        """A command that must succeed."""
        cli, server, wall = _cli_seconds(), self.server_seconds(), time.perf_counter()
        done = self.app.convex(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
        return Cost(
            wall_seconds=time.perf_counter() - wall,
            cli_seconds=_cli_seconds() - cli,
            server_seconds=self.server_seconds() - server,
        )

    def server_seconds(self) -> float:
        """Of the processor, in the server and all its processes so far."""
        return tree_cpu_seconds(self.process_id)

    @property
    def process_id(self) -> int:
        """Of the server's main process."""
        assert self.server.process is not None
        return self.server.process.pid


def _cli_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def deployed_app(*options: str) -> Iterator[DeployedApp]:
    """A server with a data folder on disk and these options of `fenchel serve`, and an empty app;
    both go with the block."""
    with TemporaryDirectory(prefix="fenchel-bench-") as name:
        folder = Path(name)
        server = FenchelServer(
            data_folder=folder / "data", port=free_port(), site_port=free_port(), options=options
        )
        server.start()
        try:
            (folder / "app").mkdir()
            (folder / "app/node_modules").symlink_to(_PACKAGES / "node_modules")
            (folder / "app/package.json").write_bytes((_PACKAGES / "package.json").read_bytes())
            app = ConvexApp(folder=folder / "app", url=server.url, admin_key=server.admin_key())
            yield DeployedApp(app=app, server=server)
        finally:
            server.kill()
