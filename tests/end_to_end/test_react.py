"""The React client of the npm package `convex` in a browser: hooks, pages, optimism, signing in."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import ECKey

from tests.auth.providers import data_url, public, sign
from tests.end_to_end.fenchel_server import HERE, NODE, ConvexApp, clean_environment

if TYPE_CHECKING:
    from tests.end_to_end.conftest import StartServer

ISSUER = "https://accounts.test"
APPLICATION = "react"
KEY = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
FORGERS_KEY = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
SCENARIO_SECONDS_MAX = 180


@pytest.fixture(scope="module")
def seen(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page saw in each scenario: clients/react_scenarios.mjs runs them side by side."""
    server = start_server()
    folder = tmp_path_factory.mktemp("react") / "react_app"
    app = ConvexApp.copy(HERE / "react_app", folder, server=server)
    (folder / "convex/auth.config.ts").write_text(auth_config())
    app.deploy()
    done = subprocess.run(
        [NODE, HERE / "clients/react_scenarios.mjs", server.url],
        input=json.dumps(tokens()),
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SCENARIO_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def auth_config() -> str:
    provider = {
        "type": "customJwt",
        "issuer": ISSUER,
        "applicationID": APPLICATION,
        "algorithm": "ES256",
        "jwks": data_url(public(KEY)),
    }
    return f"export default {json.dumps({'providers': [provider]})};"


def tokens() -> dict[str, Any]:
    return {
        "ada": token("Ada"),
        "grace": token("Grace"),
        "forged": token("Mallory", key=FORGERS_KEY),
        # The client confirms the first by asking for a second, and asks again 10 s before one ends,
        # which it learns from how long one is valid. None ends before the browser has started.
        "short": [
            token("Ada, first", valid_seconds=13),
            token("Ada, second", valid_seconds=13),
            token("Ada, last"),
        ],
    }


def token(name: str, *, valid_seconds: int = 3600, key: ECKey = KEY) -> str:
    """Ends in an hour, and says that it was valid for so long by then."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": APPLICATION, "sub": name, "name": name}
    times = {"iat": now + 3600 - valid_seconds, "exp": now + 3600}
    return sign(claims | times, key, algorithm="ES256", key_id="ec")


def test_every_scenario_ends_and_no_page_has_an_error(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []


def test_use_query_skips_shows_updates_and_throws_to_the_boundary(seen: dict[str, Any]) -> None:
    assert seen["queries"]["seen"] == [
        {"room": None, "list": "undefined", "isSame": True},
        {"room": "queries", "list": "undefined", "isSame": True},
        {"room": "queries", "list": [], "isSame": True},
        {"room": "queries", "list": [1], "isSame": True},
        {"room": "closed", "list": "undefined", "isSame": True},
        {"caught": {"reason": "closed"}},
    ]


def test_an_optimistic_update_shows_at_once_and_never_flickers(seen: dict[str, Any]) -> None:
    assert [entry["list"] for entry in seen["optimism"]["seen"]] == [
        "undefined",
        [],
        [1],
        [1, 13],
        [1],
        # React draws once for the three calls that are made together.
        [1, 2, 3, 4],
    ]
    assert seen["optimism"]["answers"] == [
        {"done": 1},
        {"refused": 13, "data": "unlucky"},
        {"done": 2},
        {"done": 3},
        {"done": 4},
    ]


def test_pages_stay_whole_while_they_grow_shrink_and_split(seen: dict[str, Any]) -> None:
    for entry in seen["pages"]["seen"]:
        assert entry["results"] == sorted(set(entry["results"])), entry
    assert seen["pages"]["seen"][-1]["status"] == "Exhausted"


def test_signing_in_and_out_changes_who_the_queries_see(seen: dict[str, Any]) -> None:
    entries = seen["account"]["seen"]
    steps = [entry for entry in entries if entry not in ("loading", {"me": "undefined"})]
    assert steps == ["signed out", {"me": "Ada"}, "signed out", {"me": "Grace"}]


def test_a_forged_token_signs_nobody_in_and_is_not_tried_for_ever(seen: dict[str, Any]) -> None:
    assert seen["forged"]["seen"] == ["loading", "signed out"]
    assert seen["forged"]["fetches"] <= 4
    assert seen["forged"]["connections"] <= 6


def test_a_token_is_renewed_before_it_ends(seen: dict[str, Any]) -> None:
    assert seen["renewed"]["seen"] == [
        "loading",
        {"me": "undefined"},
        {"me": "Ada, second"},
        {"me": "Ada, last"},
    ]
    assert seen["renewed"]["connections"] == 1
