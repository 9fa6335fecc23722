"""Whole runs against the same steps in plain torch, from files to weights, with every option on.

Two epochs of three steps: the second epoch has another order, and images that the first left out.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from wiring import plain
from wiring.small import BATCH, CLASSES, built

import fcmae
from fcmae.images import Decoded, decode
from fcmae.images.augment import erase
from fcmae.images.mixing import draw_mix
from fcmae.images.pairs import PairView

SEED, STEPS, SIZE, STEM = 5, 6, (32, 48), 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RATES: dict[str, Any] = {"minimum": 1e-4, "warmup": 2, "steps": STEPS}
# What every recipe has; it warms up for two steps, of which the first has a rate of 0.
SHARED = ("weight_decay=0.3", "optimizer_momentum=0.7,0.9", "minimum_learning_rate=1e-4")
OPTIONS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": BATCH,
    "image_size": "32x48",
    "stem_stride": STEM,
    "seed": SEED,
    "workers": 0,
    "device": "cpu",
}


def files_of(root: Path) -> list[Path]:
    """All of a folder, in the order of their names."""
    return sorted(root.rglob("*.png"))


def doubles(module: torch.nn.Module) -> dict[str, Tensor]:
    """The weights in double precision; those that are trained want a gradient."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {
        name: value.detach().double().requires_grad_(name in trained)
        for name, value in module.state_dict().items()
    }


def changed(
    w: dict[str, Tensor], optimizer: plain.AdamW, gradients: plain.Weights, **how: Any
) -> dict[str, Tensor]:
    """The weights after a step, as fresh leaves."""
    after = {name: value.detach() for name, value in w.items()}
    optimizer.step(after, gradients, **how)
    return {name: value.requires_grad_(w[name].requires_grad) for name, value in after.items()}


def check_lines(run: Path, found: list[tuple[float, float, float]]) -> None:
    """Loss, rate and gradient's norm of each step."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    logged = [line for line in lines if line["kind"] == "step"]
    for line, (loss, rate, norm) in zip(logged, found, strict=True):
        assert line["loss"] == pytest.approx(loss, rel=1e-5)
        assert line["learning_rate"] == pytest.approx(rate, rel=1e-9)
        assert line["gradient_norm"] == pytest.approx(norm, rel=1e-4)


def check_weights(ours: dict[str, Tensor], before: plain.Weights, after: plain.Weights) -> None:
    """Every weight moved as it should, to a thousandth of the way that its tensor went."""
    assert ours.keys() == after.keys()
    assert after
    for name, value in after.items():
        way = (value - before[name]).abs().max().item()
        error = (ours[name] - value).abs().max().item()
        assert error <= 1e-3 * way + 1e-7, f"{name}: off by {error}, of {way}"


@pytest.mark.parametrize(
    ("micro_batch_size", "norm_pix", "exempt"), [(4, True, "paper-code"), (3, False, "fixed")]
)
def test_masked_pretraining(
    pictures: Path,
    encoder: Path,
    tmp_path: Path,
    micro_batch_size: int,
    norm_pix: bool,
    exempt: str,
) -> None:
    recipe = (
        "base_learning_rate=0.1", "warmup_epochs=0.67",
        f"decay_exempt={exempt}", f"norm_pix={norm_pix}", "decoder_width=12",
        "decoder_depth=2", "crop_scale=0.3,0.7", "horizontal_flip=0.4",
    )  # fmt: skip
    options = {
        **OPTIONS,
        "data": str(pictures),
        "init": str(encoder),
        "mask_ratio": 0.5,
        "set": SHARED + recipe,
    }
    options["micro_batch_size"] = micro_batch_size
    before = doubles(built(fcmae.pretrain, tmp_path / "start", **options).trained)
    run = fcmae.pretrain(out=str(tmp_path / "run"), **options)
    files, optimizer = files_of(pictures), plain.AdamW((0.7, 0.9))
    special = ("grn", "mask_token")
    decays = {
        name: 0.3 * (value.ndim > 1 if not any(s in name for s in special) else exempt != "fixed")
        for name, value in before.items()
    }
    w, found = before, []
    for step in range(STEPS):
        images = [
            plain.crop_of(files[i], SIZE, (0.3, 0.7), 0.4, plain.seed_of(SEED, epoch, i))
            for epoch, i in plain.batch_of(files, step, BATCH, SEED)
        ]
        noise = torch.rand(BATCH, 6, generator=plain.dice(SEED, step, 1 << 40))
        masked = noise >= noise.sort(1).values[:, 3:4]  # the three lowest of six are visible
        loss = plain.reconstruction_loss(
            w,
            plain.normalised(torch.stack(images), MEAN, STD).double(),
            masked.view(BATCH, 2, 3),
            stem_stride=STEM,
            depth=2,
            norm_pix=norm_pix,
        )
        gradients, norm = plain.gradients_of(loss, w)
        rate = plain.rate_of(step, peak=0.1 * BATCH / 256, **RATES)
        found.append((loss.item(), rate, norm))
        w = changed(w, optimizer, gradients, rates=dict.fromkeys(w, rate), decays=decays)
    check_lines(run, found)
    check_weights(load_file(run / "checkpoints/last/model.safetensors"), before, w)
    encoder = {name[8:]: value for name, value in w.items() if name.startswith("encoder.")}
    first = {name[8:]: value for name, value in before.items() if name.startswith("encoder.")}
    check_weights(load_file(run / "weights.safetensors"), first, encoder)


def test_contrastive_pretraining(pictures: Path, encoder: Path, tmp_path: Path) -> None:
    colours: dict[str, Any] = {
        "crop_scale": (0.3, 0.7), "horizontal_flip": 0.4, "colour_jitter": (0.3, 0.2, 0.4, 0.2),
        "jitter_probability": 0.7, "grey": 0.3, "blur": (0.8, 0.3), "blur_sigma": (0.3, 1.0),
        "solarise": (0.3, 0.4),
    }  # fmt: skip
    recipe = (
        "base_learning_rate=0.01", "warmup_epochs=1",
        "temperature=0.3", "encoder_momentum=0.6", "hidden_width=12",
        "projection_width=6", "frozen_stem=true", "decay_exempt=nothing",
        *(f"{name}={value}" for name, value in colours.items()),
    )  # fmt: skip
    options = {**OPTIONS, "data": str(pictures), "init": str(encoder), "set": SHARED + recipe}
    options |= {"method": "moco-v3", "batch_size": 7, "epochs": 3}  # BatchNorm wants a few images
    before = doubles(built(fcmae.pretrain, tmp_path / "start", **options).trained)
    run = fcmae.pretrain(out=str(tmp_path / "run"), **options)
    files, optimizer = files_of(pictures), plain.AdamW((0.7, 0.9))
    view = PairView(size=SIZE, **colours)
    w, found = before, []
    for step in range(STEPS):
        pairs = [
            view(Decoded(decode(files[i], 3)), None, plain.seed_of(SEED, epoch, i))
            for epoch, i in plain.batch_of(files, step, 7, SEED)
        ]
        first, second = (
            plain.normalised(torch.stack(views), MEAN, STD).double()
            for views in zip(*pairs, strict=True)
        )
        loss = plain.contrastive_loss(w, first, second, stem_stride=STEM, temperature=0.3)
        gradients, norm = plain.gradients_of(loss, w)
        rate = plain.rate_of(step, peak=0.01 * 7 / 256, **RATES)
        found.append((loss.item(), rate, norm))
        everything = dict.fromkeys(w, 0.3)
        w = changed(w, optimizer, gradients, rates=dict.fromkeys(w, rate), decays=everything)
        progress = torch.tensor((step + 1) / STEPS, dtype=torch.float64)
        momentum = 1 - (1 - 0.6) * (1 + torch.cos(torch.pi * progress)) / 2
        for name in [name for name in w if name.startswith("key.")]:
            query = w[f"query.{name[4:]}"].detach()
            w[name] = momentum * w[name] + (1 - momentum) * query
    check_lines(run, found)
    stem = "query.encoder.downsample_layers.0"
    assert all(torch.equal(w[name], before[name]) for name in w if name.startswith(stem))
    for name in [name for name in w if name.endswith(("3.0.grn.beta", "3.0.pwconv2.bias"))]:
        del w[name]  # it adds the same to all images, which BatchNorm takes away: no gradient
    ours = load_file(run / "checkpoints/last/model.safetensors")
    check_weights({name: ours[name] for name in w}, before, w)


@pytest.mark.parametrize(
    ("micro_batch_size", "warm", "scaling"), [(4, "true", "square-root"), (2, "false", "linear")]
)
def test_finetuning(
    classes: Path, encoder: Path, tmp_path: Path, micro_batch_size: int, warm: str, scaling: str
) -> None:
    recipe = (
        "base_learning_rate=0.2", "warmup_epochs=0.67",
        f"learning_rate_scaling={scaling}", "layer_decay=0.7",
        "rand_augment=7,0.4", "random_erasing=0.6", "crop_scale=0.3,0.9", "horizontal_flip=0.4",
        "label_smoothing=0.15", "mixup=0.8", "cutmix=1.5", "drop_path=0.6", "head_init=20",
        "ema=0.6", f"ema_warmup={warm}",
    )  # fmt: skip
    options = {**OPTIONS, "data": str(classes), "init": str(encoder), "set": SHARED + recipe}
    options["micro_batch_size"] = micro_batch_size
    before = doubles(built(fcmae.finetune, tmp_path / "start", **options).trained)
    run = fcmae.finetune(out=str(tmp_path / "run"), **options)
    files, optimizer = files_of(classes / "train"), plain.AdamW((0.7, 0.9))
    labels = torch.tensor([CLASSES.index(file.parent.name) for file in files])
    # Each stage is a layer, with the downsampling before it; the head and its norm are the fifth.
    layers = {name: int(name.split(".")[1]) if name[0] in "ds" else 4 for name in before}
    decays = {name: 0.3 * (value.ndim > 1 and "grn" not in name) for name, value in before.items()}
    batch = (BATCH * 1024) ** 0.5 if scaling == "square-root" else BATCH
    w, average, found = before, before, []
    for step in range(STEPS):
        samples = plain.batch_of(files, step, BATCH, SEED)
        crops = []
        for epoch, i in samples:
            crop = plain.crop_of(files[i], SIZE, (0.3, 0.9), 0.4, plain.seed_of(SEED, epoch, i))
            crops.append(plain.rand_augmented(crop, 7, 0.4, MEAN))
        images = plain.normalised(torch.stack(crops), MEAN, STD)
        seeds = [plain.seed_of(SEED, step, (1 << 43) + place) for place in range(BATCH)]
        images = erase(images, seeds, 0.6).double()
        drawn = draw_mix(SIZE, mixup=0.8, cutmix=1.5, seed=plain.seed_of(SEED, step, 1 << 41))
        share = torch.full(SIZE, drawn.share, dtype=torch.float64)
        if drawn.window is not None:
            top, left, rows, columns = drawn.window
            share = torch.ones(SIZE, dtype=torch.float64)
            share[top : top + rows, left : left + columns] = 0
        partners = [1, 0, 3, 2]
        images = share * images + (1 - share) * images[partners]
        targets = F.one_hot(labels[[i for _, i in samples]], 7).double() * 0.85 + 0.15 / 7
        targets = drawn.share * targets + (1 - drawn.share) * targets[partners]
        chance = torch.rand(4, BATCH, generator=plain.dice(SEED, step, 1 << 42))
        kept = [
            (numbers >= rate) / (1 - rate)
            for rate, numbers in zip((0.0, 0.2, 0.4, 0.6), chance, strict=True)
        ]
        said = plain.logits(w, images, STEM, kept).log_softmax(1)
        loss = -(targets * said).sum(1).mean()
        gradients, norm = plain.gradients_of(loss, w)
        rate = plain.rate_of(step, peak=0.2 * batch / 256, **RATES)
        found.append((loss.item(), rate, norm))
        rates = {name: rate * 0.7 ** (4 - layer) for name, layer in layers.items()}
        w = changed(w, optimizer, gradients, rates=rates, decays=decays)
        held = min(0.6, (2 + step) / (11 + step)) if warm == "true" else 0.6
        average = {n: held * average[n].detach() + (1 - held) * w[n].detach() for n in w}
    check_lines(run, found)
    kept_weights = load_file(run / "checkpoints/last/model.safetensors")
    for part, expected in (("model.", w), ("average.", average)):
        ours = {n[len(part) :]: v for n, v in kept_weights.items() if n.startswith(part)}
        check_weights(ours, before, expected)
    check_weights(load_file(run / "weights.safetensors"), before, average)
