"""Files through the functions of npm convex 1.48 (`ctx.storage`) and plain HTTP."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from convex import ConvexClient

if TYPE_CHECKING:
    from tests.end_to_end.fenchel_server import ConvexApp, FenchelServer

CONTENT = b"\x00\xff a picture"


@pytest.fixture
def client(app: ConvexApp, server: FenchelServer) -> ConvexClient:
    return ConvexClient(server.url)


def upload(client: ConvexClient, content: bytes = CONTENT) -> str:
    """The storage id of a file sent to a URL that a mutation gave."""
    url = client.mutation("files:uploadUrl", {})
    request = Request(url, data=content, headers={"Content-Type": "image/png"}, method="POST")
    with urlopen(request) as response:
        storage_id = json.load(response)["storageId"]
    assert isinstance(storage_id, str)
    return storage_id


def read(url: str) -> tuple[int, Any]:
    try:
        with urlopen(url) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, None


def test_a_file_is_sent_and_read(client: ConvexClient) -> None:
    url = client.query("files:url", {"id": upload(client)})
    assert read(url) == (200, CONTENT)


def test_functions_know_about_the_file(client: ConvexClient) -> None:
    storage_id = upload(client)
    described = client.query("files:describe", {"id": storage_id})
    digest = hashlib.sha256(CONTENT)
    assert described == {
        "sha256": b64encode(digest.digest()).decode(),
        "size": float(len(CONTENT)),
        "contentType": "image/png",
        "metadata": {
            "storageId": storage_id,
            "sha256": digest.hexdigest(),
            "size": float(len(CONTENT)),
            "contentType": "image/png",
        },
    }


def test_queries_follow_the_deletion(client: ConvexClient) -> None:
    storage_id = upload(client)
    url = client.query("files:url", {"id": storage_id})
    updates = client.subscribe("files:url", {"id": storage_id})
    assert next(updates) == url
    client.mutation("files:remove", {"id": storage_id})
    assert next(found for found in updates if found != url) is None
    assert read(url) == (404, None)
    with pytest.raises(Exception, match="not found"):
        client.mutation("files:remove", {"id": storage_id})


def test_a_failed_mutation_deletes_nothing(client: ConvexClient) -> None:
    storage_id = upload(client)
    with pytest.raises(Exception, match="changed my mind"):
        client.mutation("files:removeThenFail", {"id": storage_id})
    assert read(client.query("files:url", {"id": storage_id})) == (200, CONTENT)


def test_actions_have_the_same(client: ConvexClient) -> None:
    storage_id = upload(client)
    one, other = client.action("files:urlByAction", {"id": storage_id})
    assert one == other
    assert read(one) == (200, CONTENT)


def test_browsers_may_send_files(client: ConvexClient) -> None:
    url = client.mutation("files:uploadUrl", {})
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    with urlopen(Request(url, headers=asked, method="OPTIONS")) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def action_content(size: int) -> bytes:
    return bytes(index % 251 for index in range(size))


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_an_action_stores_and_gets(client: ConvexClient, size: int) -> None:
    stored = client.action("files:storeByAction", {"size": float(size)})
    assert (stored["type"], stored["isSame"]) == ("image/png", True)
    assert read(client.query("files:url", {"id": stored["id"]})) == (200, action_content(size))


def test_an_action_gets_what_was_uploaded_and_nothing_of_a_deleted_file(
    client: ConvexClient,
) -> None:
    storage_id = upload(client, b"text")
    assert client.action("files:getByAction", {"id": storage_id}) == "text"
    client.mutation("files:remove", {"id": storage_id})
    assert client.action("files:getByAction", {"id": storage_id}) is None


def test_an_action_reads_parts_and_stores_them_again(client: ConvexClient) -> None:
    content = action_content(3_000_000)
    asked: dict[str, Any] = {"id": upload(client, content)}
    asked |= {"start": 1_000_000.0, "end": 2_999_999.0}
    copied = client.action("files:copyByAction", asked)
    assert (copied["size"], copied["type"]) == (3e6, "image/png")
    part = content[1_000_000:2_999_999]
    assert copied["bytes"] == [float(byte) for byte in part[:4]]
    assert read(client.query("files:url", {"id": copied["copy"]})) == (200, part)
    described = client.query("files:describe", {"id": copied["copy"]})
    assert (described["size"], described["contentType"]) == (float(len(part)), "image/part")


def test_a_file_that_is_deleted_while_it_is_read_is_a_clear_error(client: ConvexClient) -> None:
    storage_id = upload(client, bytes(2_000_000))
    with pytest.raises(Exception, match=f"The file {storage_id} was deleted"):
        client.action("files:deleteWhileReading", {"id": storage_id})


def test_an_action_may_say_the_digest(client: ConvexClient) -> None:
    digest = hashlib.sha256(action_content(5))
    for text in (digest.hexdigest(), b64encode(digest.digest()).decode()):
        assert client.action("files:storeByAction", {"size": 5.0, "sha256": text})["isSame"]
    with pytest.raises(Exception, match="The SHA-256 of the content is"):
        client.action("files:storeByAction", {"size": 6.0, "sha256": digest.hexdigest()})
    with pytest.raises(Exception, match="32 bytes"):
        client.action("files:storeByAction", {"size": 6.0, "sha256": "abcd"})
