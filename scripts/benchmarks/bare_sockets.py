"""Baseline of the fan-out: uvicorn's own WebSockets, sending prepared text from one loop.

`POST /` sends each line of its body to every open WebSocket.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

sockets: set[Any] = set()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept a WebSocket, or send the lines of a request to all of them."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        sockets.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            continue
        sockets.discard(send)
    elif scope["type"] == "http":
        body = b""
        is_more = scope["method"] == "POST"
        while is_more:
            message = await receive()
            body += message["body"]
            is_more = message.get("more_body", False)
        texts = body.decode().splitlines()
        for send_one in sockets:
            for text in texts:
                await send_one({"type": "websocket.send", "text": text})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
