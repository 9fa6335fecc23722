"""Two processes of a test that meet as torchrun's do."""

import os
import socket
from collections.abc import Callable
from multiprocessing.context import BaseContext


def take_part(rank: int, port: int) -> None:
    """What torchrun would tell this process."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip


def run_pair(context: BaseContext, target: Callable[..., None], *arguments: object) -> None:
    """Run `target(rank, port, *arguments)` in both, until they end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = [
        context.Process(target=target, args=(rank, port, *arguments))  # type: ignore[attr-defined]
        for rank in range(2)
    ]
    for process in pair:
        process.start()
    for process in pair:
        process.join(200)
    assert [process.exitcode for process in pair] == [0, 0]
