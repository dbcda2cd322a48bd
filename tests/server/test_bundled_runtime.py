"""A missing JavaScript side is noticed before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from fenchel.errors import FenchelError
from fenchel.server.bundled_runtime import check_bundled_runtime


def test_an_installed_runtime_is_complete() -> None:
    check_bundled_runtime()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "esbuild").write_text("")
    with pytest.raises(FenchelError) as caught:
        check_bundled_runtime(tmp_path)
    assert "isolate-worker.cjs" in caught.value.message
    assert "make setup" in caught.value.message
