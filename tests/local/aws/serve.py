"""A process that serves a store until it is killed: ``serve.py FILE KEY_FILE``; prints its port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from neonctl.local.aws.app import make_app
from neonctl.local.aws.store import AwsStore


async def main(path: Path, key_file: Path) -> None:
    runner = web.AppRunner(make_app(AwsStore(path, key_file)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
