"""Upload a photograph, turn it into a postcard on a worker, and follow the progress."""

import asyncio
import sys
from pathlib import Path

from processing_context import ImageRef, ProcessingContext

GRAPH = {
    "nodes": [
        {"id": "photo", "type": "input.ImageInput", "data": {"name": "photo"}},
        {"id": "words", "type": "input.TextInput", "data": {"name": "words", "value": "Greetings"}},
        {"id": "small", "type": "image.Resize", "data": {"width": 640, "height": 400}},
        {"id": "soft", "type": "image.Blur", "data": {"radius": 1.5}},
        {"id": "text", "type": "image.DrawText", "data": {"x": 24, "y": 320, "size": 48}},
        {"id": "card", "type": "output.ImageOutput", "data": {"name": "card"}},
    ],
    "edges": [
        {"source": a, "sourceHandle": "output", "target": b, "targetHandle": handle}
        for a, b, handle in [
            ("photo", "small", "image"),
            ("small", "soft", "image"),
            ("soft", "text", "image"),
            ("words", "text", "text"),
            ("text", "card", "value"),
        ]
    ],
}


async def main(path: Path) -> None:
    async with ProcessingContext() as context:
        asset = await context.create_asset(path.name, "image/jpeg", path)
        photo = ImageRef(asset_id=asset.id)
        print("uploaded", asset.name, asset.size, "bytes")

        job = asyncio.create_task(
            context.run_worker(GRAPH, {"photo": photo, "words": "Greetings from the worker"})
        )
        while not job.done() or context.has_messages():
            message = await context.pop_message_async()
            if message.type == "node_update":
                print(message.seq, message.node_id, message.status)
            elif message.type == "job_update":
                print(message.seq, "job", message.status)
                if message.status in ("completed", "failed", "cancelled"):
                    break
        card = (await job)["card"]
        picture = await context.image_to_pil(card)
        print("the result is", picture.size, picture.mode)
        print(await context.get_asset_url(card.asset_id))


asyncio.run(main(Path(sys.argv[1])))
