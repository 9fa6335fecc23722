"""How kernels for the processor are compiled by numba, without which this cannot be imported."""

import functools
import logging
import os
from collections.abc import Callable

import numba
import numpy as np
import torch
from numba.core import event
from torch import Tensor

FAST = {"reassoc", "contract", "nsz"}  # sums in any order; but a NaN stays one, to be found


def compiled(function: Callable[..., None], *, parallel: bool = False) -> Callable[..., None]:
    """Compile when first called, and keep what was compiled for the next process."""
    compiler = functools.partial(numba.njit, fastmath=FAST, boundscheck=False, parallel=parallel)
    try:
        made: Callable[..., None] = compiler(cache=True)(function)
    except RuntimeError:  # there is no folder that it may write to: each process compiles anew
        made = compiler()(function)
    return made


threaded = functools.partial(compiled, parallel=True)


class _Announcement(event.Listener):
    """Says once that kernels are compiled, where it would else look as if nothing happened."""

    def __init__(self) -> None:
        self.due = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, one speaks

    def on_start(self, event: event.Event) -> None:  # not where a kernel was kept
        kernel = event.data["dispatcher"]
        if not self.due or not kernel.py_func.__module__.startswith("fcmae."):
            return
        self.due = False
        text = "compiling kernels for this processor: up to a minute, "
        kept = kernel.stats.cache_path is not None
        text += "once" if kept else "every time: set NUMBA_CACHE_DIR to a folder to keep them in"
        logging.getLogger(__name__).warning(text)  # on stderr, unless the user sends it elsewhere

    def on_end(self, event: event.Event) -> None:
        pass


announcement = _Announcement()
event.register("numba:compile", announcement)  # type: ignore[no-untyped-call]


def use_torch_threads() -> None:
    """Give numba as many threads as torch has: more would fight other processes.

    The number belongs to the calling thread, and autograd's backward pass has one of its own.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != threads:  # both use OpenMP, and numba's start resets its number
        torch.set_num_threads(threads)


def array(x: Tensor) -> np.ndarray:
    """A tensor's memory, in order, as numba takes it."""
    return x.detach().contiguous().numpy()
