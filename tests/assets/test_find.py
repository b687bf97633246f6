"""Tests of looking up many assets in one request."""

from __future__ import annotations

from tests.support.assets import fetch, make_asset, make_folder
from tests.support.services import User


async def test_assets_are_found_together(user: User, other: User) -> None:
    mine = [await make_asset(user, content) for content in (b"one", b"two")]
    folder = await make_folder(user)
    theirs = await make_asset(other)
    pending = await user.http.post(
        "/v1/assets/uploads", json={"name": "a", "content_type": "a/b", "size": 1}
    )
    wanted = [
        *(asset.id for asset in (*mine, mine[0], folder, theirs)),
        pending.json()["asset"]["id"],
        "0" * 32,
        "nonsense",
    ]
    reply = await user.http.post("/v1/assets/find", json={"asset_ids": wanted})
    assert reply.status_code == 200
    found = {asset["id"]: asset for asset in reply.json()["assets"]}
    assert len(reply.json()["assets"]) == len(found)
    assert found.keys() == {*(asset.id for asset in mine), folder.id, wanted[5]}
    assert (await fetch(found[mine[0].id]["get_url"])).content == b"one"
    assert found[folder.id]["get_url"] is None
    assert (found[wanted[5]]["status"], found[wanted[5]]["get_url"]) == ("pending", None)
    alone = (await user.http.get(f"/v1/assets/{mine[1].id}")).json()
    assert found[mine[1].id] | {"get_url": None} == alone | {"get_url": None}


async def test_at_most_a_thousand_assets_are_found_together(user: User) -> None:
    reply = await user.http.post("/v1/assets/find", json={"asset_ids": ["0" * 32] * 1001})
    assert reply.status_code == 422
    assert (await user.http.post("/v1/assets/find", json={"asset_ids": []})).json() == {
        "assets": []
    }
