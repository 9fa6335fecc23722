"""What is drawn differs by step, image and block, and is drawn again the same after a resume.

All pictures are copies of one, so that whatever differs was drawn.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from wiring import plain
from wiring.small import save_picture

import fcmae
from fcmae.models.layers import DropPath
from fcmae.training import trainer

STEPS, BATCH = 6, 4
CALM = ("rand_augment=0,0", "random_erasing=0", "mixup=0", "cutmix=0", "drop_path=0")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
STILL = ("crop_scale=1,1", "horizontal_flip=0")
Watch = Callable[..., "list[Draws]"]


class Draws(NamedTuple):
    """What a step's network got: images, what else its loss takes, and drop path's numbers."""

    images: Tensor  # [B, C, H, W]
    other: Tensor  # masks, second views or targets, [B, ...]
    paths: Tensor  # [blocks, B], empty where no path is dropped


class Crash(Exception):
    """The end of a process that is not prepared for it."""


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Twelve copies of a picture, in six classes."""
    save_picture(tmp_path / "picture.png", 1)
    for number in range(12):
        for split in ("train", "val"):
            folder = tmp_path / "data" / split / "abcdef"[number % 6]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "picture.png", folder / f"{number:02d}.png")
    return tmp_path / "data"


@pytest.fixture
def watch(copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Runs a command, until the given step crashes, and says what was drawn for each step."""
    trains = trainer.Trainer

    def watch(command: Callable[..., Path], crash_at: int = STEPS, **options: Any) -> list[Draws]:
        seen: list[Draws] = []

        def begin(out: Path, task: Any, *arguments: Any, **more: Any) -> Any:
            loss = task.loss
            drops = [part for part in task.trained.modules() if isinstance(part, DropPath)]

            def watched(module: Any, images: Tensor, other: Tensor) -> Tensor:
                if len(seen) == crash_at:
                    raise Crash
                drawn = [drop.drawn for drop in drops if drop.drawn is not None]
                seen.append(Draws(images, other, torch.stack(drawn) if drawn else torch.empty(0)))
                return loss(module, images, other)

            task.loss = watched
            return trains(out, task, *arguments, **more)

        monkeypatch.setattr(trainer, "Trainer", begin)
        usual = {
            "out": str(tmp_path / "run"), "data": str(copies), "epochs": 2, "batch_size": BATCH,
            "image_size": "64x96", "stem_stride": 2, "workers": 0, "device": "cpu",
            "checkpoint_minutes": 0.0,
        }  # fmt: skip
        try:
            if options.get("resume"):
                command(out=usual["out"], resume=True)
            else:
                command(**(usual | {"overwrite": True} | options))
        except Crash:
            assert len(seen) == crash_at
        return seen

    return watch


def all_differ(values: Iterator[Tensor]) -> bool:
    """Whether no two are the same."""
    kinds = {value.numpy().tobytes() for value in (each.contiguous() for each in values)}
    return len(kinds) == STEPS * BATCH


def images_of(draws: list[Draws], part: str = "images") -> Iterator[Tensor]:
    return (image for drawn in draws for image in getattr(drawn, part))


def test_masks_and_crops_of_masked_pretraining(watch: Watch, copies: Path) -> None:
    seen = watch(fcmae.pretrain, data=str(copies / "train"))
    assert len(seen) == STEPS
    assert all_differ(images_of(seen))  # by crops and flips
    assert all_differ(images_of(seen, "other"))  # by masks: 24 patches have many


def test_masks_alone(watch: Watch, copies: Path) -> None:
    seen = watch(fcmae.pretrain, data=str(copies / "train"), set=STILL)
    assert not all_differ(images_of(seen))
    assert all_differ(images_of(seen, "other"))


def test_views_of_contrastive_pretraining(watch: Watch, copies: Path) -> None:
    small = ("hidden_width=12", "projection_width=6")
    seen = watch(fcmae.pretrain, data=str(copies / "train"), method="moco-v3", set=small)
    assert all_differ(images_of(seen))
    assert all_differ(images_of(seen, "other"))
    for drawn in seen:
        assert not torch.isclose(drawn.images, drawn.other).flatten(1).all(1).any()


def test_crops_of_finetuning(watch: Watch) -> None:
    assert all_differ(images_of(watch(fcmae.finetune, set=CALM)))
    still = watch(fcmae.finetune, set=(*CALM, *STILL))
    assert len({image.numpy().tobytes() for image in images_of(still)}) == 1


def test_augmentations_differ(watch: Watch) -> None:
    seen = watch(fcmae.finetune, set=(*CALM[1:], *STILL))  # of strength 9, two of 15 operations
    kinds = {image.numpy().tobytes() for image in images_of(seen)}
    assert len(kinds) > STEPS * BATCH / 2  # each is left out half of the time


def erased(image: Tensor, copies: Path) -> Tensor:
    """Where an image is not the picture, uncropped: bool [H, W]."""
    picture = plain.crop_of(copies / "train/a/00.png", (64, 96), (1, 1), 0, seed=0)
    return ~torch.isclose(image, plain.normalised(picture, *IMAGENET), atol=1e-5).all(0)


def test_erasures_differ(watch: Watch, copies: Path) -> None:
    erasing = ("rand_augment=0,0", "random_erasing=1", "mixup=0", "cutmix=0", *STILL)
    seen = watch(fcmae.finetune, set=erasing)
    assert all_differ(images_of(seen))
    windows = [erased(image, copies) for image in images_of(seen)]
    assert len({window.numpy().tobytes() for window in windows}) > STEPS * BATCH * 0.8


@pytest.mark.parametrize(("probability", "low", "high"), [(0.25, 1, 12), (0.75, 12, 23)])
def test_erasures_are_as_frequent_as_the_recipe_says(
    watch: Watch, copies: Path, probability: float, low: int, high: int
) -> None:
    calm = ("rand_augment=0,0", "mixup=0", "cutmix=0", "drop_path=0", *STILL)
    seen = watch(fcmae.finetune, set=(*calm, f"random_erasing={probability}"))
    changed = sum(erased(image, copies).any().item() for image in images_of(seen))
    assert low <= changed <= high  # of 24


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixes_differ_by_step(watch: Watch, kind: str) -> None:
    mixing = [f"{name}={1 if name == kind else 0}" for name in ("mixup", "cutmix")]
    seen = watch(fcmae.finetune, set=(*CALM[:2], CALM[4], *mixing, "label_smoothing=0"))
    shares = {drawn.other.amax().item() for drawn in seen if drawn.other.amax() < 1}
    assert len(shares) >= STEPS - 3  # partners of the same class show no share


def test_paths_differ_by_step_image_and_block(watch: Watch) -> None:
    seen = watch(fcmae.finetune, set=(*CALM[:4], "drop_path=0.5"))
    numbers = torch.cat([drawn.paths for drawn in seen])
    assert numbers.shape == (4 * STEPS, BATCH)
    assert len(set(numbers.flatten().tolist())) == numbers.numel()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (fcmae.pretrain, {}),
        (fcmae.pretrain, {"method": "moco-v3", "set": ("hidden_width=12", "projection_width=6")}),
        (fcmae.finetune, {"set": ("mixup=0.8", "cutmix=1", "drop_path=0.5", "random_erasing=0.5")}),
    ],
)
def test_after_a_resume_all_is_drawn_again_the_same(
    watch: Watch, copies: Path, command: Callable[..., Path], options: dict[str, Any]
) -> None:
    data = copies if command is fcmae.finetune else copies / "train"
    options = {**options, "data": str(data), "image_size": "32x48"}
    undisturbed = watch(command, **options)
    before = watch(command, crash_at=4, **options)  # in the second epoch
    after = watch(command, resume=True)
    assert (len(undisturbed), len(before), len(after)) == (STEPS, 4, 2)
    for one, other in zip(undisturbed, before + after, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
