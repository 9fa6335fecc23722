"""Shared by all tests: where real images are, one seed, one thread, and what needs a GPU."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Tests run side by side, and threads that wait for a core that another test has are very slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without a GPU, Triton's kernels are interpreted. Triton asks once, when it is first imported, as
# many a library does.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).parent.parent
PRELOAD = [  # what whole runs import
    "torch._dynamo",
    "fcmae.pretraining.run",
    "fcmae.pretraining.contrastive",
    "fcmae.finetuning.run",
    "torch.utils.tensorboard",
]


def _data(name: str) -> Path:
    folder = Path(os.environ.get("FCMAE_TEST_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(
            f"no real images at {folder}; set FCMAE_TEST_DATA to the folder that holds {name}/"
        )
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` skip themselves where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order() -> None:
    """What a test draws does not depend on which tests ran before it."""
    if torch := sys.modules.get("torch"):  # tests of facts need not load it
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Imagenette at 160 px: train/CLASS/*.JPEG and val/CLASS/*.JPEG."""
    return _data("imagenette160")


@pytest.fixture(scope="session")
def cifar100() -> Path:
    """CIFAR-100 as lossless class mosaics."""
    return _data("cifar100")


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Processes that have torch loaded before they fork: they start in an instant."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small pictures with structure in them, nested, of several sizes and modes."""
    root = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0)
    for i in range(30):
        height, width = 40 + i, 72 - i
        y, x = np.mgrid[:height, :width]
        waves = [127 + 120 * np.sin(x / (3 + c + i % 5) + y / (4 + i % 3)) for c in range(3)]
        pixels = np.stack(waves, -1) + noise.normal(0, 4, (height, width, 3))
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        place = root / f"group{i % 3}"
        place.mkdir(exist_ok=True)
        (picture.convert("L") if i % 7 == 0 else picture).save(place / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def tiny_models() -> Iterator[None]:
    """Every size has one block a stage and 8 channels in the first, for a whole file of tests."""
    from wiring.small import tiny_sizes

    with tiny_sizes():
        yield


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/CLASS and val/CLASS: three classes that are told apart by their colour."""
    from whole_runs import save_coloured

    return save_coloured(tmp_path_factory.mktemp("coloured"))


@pytest.fixture(scope="session")
def trained(
    folder: Path, coloured: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A finished run of a tiny model that nothing disturbed, of each kind; nobody may change it."""
    from whole_runs import KINDS
    from wiring.small import tiny_sizes

    runs: dict[str, Path] = {}

    def trained(kind: str) -> Path:
        if kind not in runs:
            out = tmp_path_factory.mktemp("runs") / "finished"
            data = coloured if kind == "finetune" else folder
            command, options = KINDS[kind]
            with tiny_sizes():
                runs[kind] = command(data=str(data), out=str(out), **options)
        return runs[kind]

    return trained
