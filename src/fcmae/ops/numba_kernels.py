"""How kernels for the processor are compiled by numba, without which this cannot be imported."""

import functools
from collections.abc import Callable

import numba
import numpy as np
import torch
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
