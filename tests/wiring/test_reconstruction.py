"""The toy study of appendix D trains what its recipe says, field by field and step by step.

The study is called as users call it, with another recipe in its scale's place. But for the last
test, the training loop is a spy that takes two batches and makes no step.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from wiring import plain
from wiring.small import CLASSES

from fcmae.images import Batch, Labelled
from fcmae.studies.reconstruction import (
    CONVNEXT,
    ENCODERS,
    GRN,
    PAPER,
    SCALES,
    SMALL,
    TRANSFORMER,
    Recipe,
    evaluation,
    reconstruction,
    runner,
    training,
)
from fcmae.studies.reconstruction.model import Toy
from fcmae.studies.reconstruction.training import Data
from fcmae.training.engine import Step

SIDE = 24  # of the pictures too: seen whole, they are seen as they are
# No value is one of a scale's, and no two encoders have the same rate.
RECIPE = Recipe(
    image_size=SIDE,
    mask_sizes=(6, 4),
    mask_ratio=0.3,
    epochs=3,
    neighbours=5,
    stem_stride=4,
    num_images=28,
    num_val_images=14,
    seeds=(7, 5),
    batch_size=6,
    warmup_epochs=1.5,
    weight_decay=0.2,
    optimizer_momentum=(0.7, 0.8),
    base_learning_rates={CONVNEXT: 3e-3, GRN: 5e-3, TRANSFORMER: 7e-3},
)
Setting = tuple[str, int, int]  # encoder, mask size, seed


@dataclass
class Seen:
    """What the loop of one setting was given, and what came of two of its batches.

    Attributes:
        data: what it is trained and measured on.
        module: what would be trained.
        first: its weights at the beginning.
        options: others of the loop.
        groups: of the optimiser.
        rates: of each step.
        batches: the first two.
        inputs: what the embedding took of each, [B, H, W, 4].
        outputs: what the model gave of each.
        losses: of each.
        measured: what nearest neighbours were asked for.
        evaluated: what the embedding took when errors were measured.
    """

    data: Data
    module: Toy
    first: dict[str, Tensor]
    options: dict[str, Any]
    groups: list[dict[str, Any]]
    rates: list[float]
    batches: list[Batch[Any]]
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    measured: list[Any] = field(default_factory=list)
    evaluated: list[Tensor] = field(default_factory=list)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven classes: five noisy squares of each to train on, three to measure on; some grey."""
    root = tmp_path_factory.mktemp("squares")
    for split, number in (("train", 35), ("val", 21)):
        for i in range(number):
            noise = np.random.default_rng([number, i])
            pixels = noise.integers(i % 5, 256 - 30 * (i % 4), (SIDE, SIDE, 3)).astype(np.uint8)
            picture = Image.fromarray(pixels)
            path = root / split / CLASSES[i % 7] / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            (picture.convert("L") if i % 6 == 5 else picture).save(path)
    return root


def pixels_of(part: Labelled) -> Tensor:
    """Of a part's images: float32 [N, 3, H, W] in 0..1."""
    return torch.stack([part.read(index, 3).pixels * (1 / 255) for index in range(len(part))])


def pixels_of_file(file: Path) -> Tensor:
    """As `pixels_of` has them, [3, H, W]."""
    pixels = torch.from_numpy(np.array(Image.open(file).convert("RGB")))
    return pixels.permute(2, 0, 1) * (1 / 255)


def is_among(image: Tensor, images: list[Tensor]) -> bool:
    """Whether one of them is equal."""
    return any(torch.equal(image, other) for other in images)


def watch(images: Path, out: Path, recipe: Recipe, **options: Any) -> dict[Setting, Seen]:
    """Call the study, whose loop takes two batches and makes no step."""
    seen: dict[Setting, Seen] = {}
    begun: list[tuple[Setting, Data]] = []
    train, neighbours = runner.train, evaluation.nearest_neighbours

    def note_setting(setting: training.Setting, data: Data, *more: Any, **named: Any) -> Toy | None:
        begun.append((dataclasses.astuple(setting), data))
        return train(setting, data, *more, **named)

    def optimise(
        module: Toy,
        optimizer: torch.optim.AdamW,
        batches: Iterator[Batch[Any]],
        loss_of: Callable[[Batch[Any]], Tensor],
        **options: Any,
    ) -> Iterator[Step]:
        setting, data = begun[-1]
        now = seen[setting] = Seen(
            data,
            module,
            {name: value.clone() for name, value in module.state_dict().items()},
            options,
            optimizer.param_groups,
            [options["learning_rate"](step) for step in range(options["start"], options["stop"])],
            [next(batches), next(batches)],
        )
        with (
            module.embedding.register_forward_pre_hook(lambda _, x: now.inputs.append(x[0])),
            module.register_forward_hook(lambda _, x, y: now.outputs.append(y.detach())),
        ):
            now.losses += [loss_of(batch).item() for batch in now.batches]
        left = sum(1 for _ in batches)
        assert left == options["stop"] - 2
        module.embedding.register_forward_pre_hook(lambda _, x: now.evaluated.append(x[0]))
        yield Step(options["stop"], 0.5, 1e-3, 1.0, 1.0, 0.0)

    def note_neighbours(*arguments: Any) -> list[Tensor]:
        seen[begun[-1][0]].measured = list(arguments)
        return neighbours(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCALES, "small", recipe)
        patch.setattr(runner, "train", note_setting)
        patch.setattr(training, "optimise", optimise)
        patch.setattr(evaluation, "nearest_neighbours", note_neighbours)
        patch.setattr(runner, "write_page", lambda _: None)
        reconstruction(data=str(images), out=str(out), device="cpu", workers=0, **options)
    return seen


@pytest.fixture(scope="module")
def seen(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Setting, Seen]:
    """All settings of `RECIPE`."""
    return watch(images, tmp_path_factory.mktemp("study"), RECIPE)


def hidden_in(embedded: Tensor) -> Tensor:
    """Which pixels are masked of what the embedding took: bool [B, H, W]."""
    assert ((embedded[..., 3] == 0) | (embedded[..., 3] == 1)).all()
    return embedded[..., 3] == 1


def side_of(hidden: Tensor) -> int:
    """Pixels a side of the largest squares that are masked together."""

    def uniform(side: int) -> bool:
        squares = hidden.unfold(1, side, side).unfold(2, side, side).flatten(3)
        return bool((squares == squares[..., :1]).all())

    return max(
        side for side in range(1, hidden.shape[1]) if hidden.shape[1] % side == 0 and uniform(side)
    )


def look(now: Seen) -> dict[str, Any]:
    """Where each field of the recipe, but the seeds, shows in what is trained and measured."""
    hidden = [hidden_in(embedded) for embedded in (*now.inputs, now.evaluated[0])]
    bank, val, _, neighbours = now.measured
    embedding, head = now.module.embedding.weight, now.module.head
    seen = [*now.outputs, *(batch.examples.image for batch in now.batches)]
    assert head.out_features == 3 * embedding.shape[2] ** 2
    return {
        "image_size": {tuple(one.shape[1:]) for one in seen},
        "mask_sizes": {side_of(one) for one in hidden},
        "mask_ratio": {number for one in hidden for number in one.sum((1, 2)).tolist()},
        "epochs": len(now.rates),
        "neighbours": neighbours,
        "stem_stride": embedding.shape[1:],
        "num_images": torch.bincount(bank.labels).tolist(),
        "num_val_images": torch.bincount(val.labels).tolist(),
        "batch_size": {now.options["local_batch_size"], *(len(b.indices) for b in now.batches)},
        "warmup_epochs": now.rates.index(max(now.rates)),
        "weight_decay": [group["weight_decay"] for group in now.groups],
        "optimizer_momentum": {group["betas"] for group in now.groups},
        "base_learning_rates": max(now.rates),
    }


def test_every_field_of_the_recipe_is_found_in_what_is_trained(seen: dict[Setting, Seen]) -> None:
    fields = [one.name for one in dataclasses.fields(Recipe)]
    for name in fields:
        assert getattr(RECIPE, name) not in (getattr(PAPER, name), getattr(SMALL, name))
    assert list(seen) == [
        (encoder, size, seed) for seed in (7, 5) for size in (6, 4) for encoder in ENCODERS
    ]
    masked = {6: 5 * 36, 4: 11 * 16}  # pixels: of 16 and 36 squares 0.3, or a little more
    for (encoder, size, seed), now in seen.items():
        shown = look(now)
        assert {*shown, "seeds"} == set(fields)
        assert shown == {
            "image_size": {(3, SIDE, SIDE)},
            "mask_sizes": {size},
            "mask_ratio": {masked[size]},
            "epochs": 3 * (28 // 6),  # steps
            "neighbours": (5,),
            "stem_stride": (4, 4, 4),  # of three channels and a mask
            "num_images": [4] * 7,
            "num_val_images": [2] * 7,
            "batch_size": {6},
            "warmup_epochs": 6,  # steps: 1.5 epochs of 4
            "weight_decay": [0.2, 0.0],
            "optimizer_momentum": {(0.7, 0.8)},
            "base_learning_rates": pytest.approx(RECIPE.base_learning_rates[encoder] * 6 / 256),
        }, (encoder, size, seed)


def test_options_take_the_place_of_the_scales_fields(images: Path, tmp_path: Path) -> None:
    found = watch(
        images, tmp_path, RECIPE, encoders=(GRN,), mask_sizes=(8,), seeds=(2,), epochs=2,
        num_images=21, image_size=32, batch_size=7,
    )  # fmt: skip
    assert list(found) == [(GRN, 8, 2)]
    expected = {
        "image_size": {(3, 32, 32)},
        "mask_sizes": {8},
        "epochs": 2 * 3,
        "num_images": [3] * 7,
        "batch_size": {7},
        "warmup_epochs": 4,  # 1.5 epochs of 3 steps, to the nearest even
        "base_learning_rates": pytest.approx(5e-3 * 7 / 256),
    }
    shown = look(found[GRN, 8, 2])
    assert {name: shown[name] for name in expected} == expected


def test_each_encoder_is_what_its_name_says(seen: dict[Setting, Seen]) -> None:
    for (encoder, _, _), now in seen.items():
        names, blocks = set(now.first), {CONVNEXT: 6, GRN: 6, TRANSFORMER: 4}[encoder]
        of_grn = {f"encoder.{i}.grn.{part}" for i in range(6) for part in ("gamma", "beta")}
        assert {name for name in names if "gamma" in name or "grn" in name} == (
            of_grn if encoder == GRN else set()
        )
        attention = [name for name in names if name.endswith("attn.in_proj_weight")]
        convolutions = [name for name in names if name.endswith("dwconv.weight")]
        assert [len(attention), len(convolutions)] == (
            [blocks, 0] if encoder == TRANSFORMER else [0, blocks]
        )


def test_matrices_alone_decay_and_all_is_trained(seen: dict[Setting, Seen]) -> None:
    for now in seen.values():
        decays = {id(p): g["weight_decay"] for g in now.groups for p in g["params"]}
        assert sum(len(group["params"]) for group in now.groups) == len(decays)
        assert {
            name: decays.pop(id(parameter)) for name, parameter in now.module.named_parameters()
        } == {
            name: 0.2 if value.ndim > 1 and "grn" not in name else 0.0
            for name, value in now.first.items()
        }
        assert not decays


def test_images_are_seen_whole_and_standardised_and_masked_pixels_not_at_all(
    images: Path, seen: dict[Setting, Seen]
) -> None:
    now = seen[GRN, 6, 7]
    bank, val = (pixels_of(part) for part in (now.data.train, now.data.val))
    for part, split in ((bank, "train"), (val, "val")):
        files = [pixels_of_file(file) for file in (images / split).rglob("*.png")]
        assert all(is_among(one, files) for one in part)
    mean = bank.mean((0, 2, 3))
    std = (bank.square().mean((0, 2, 3)) - mean.square()).sqrt()
    flips = []
    for batch, embedded in zip(now.batches, now.inputs, strict=True):
        for image, index in zip(batch.examples.image, batch.indices, strict=True):
            flips.append(not torch.equal(image, bank[index]))
            assert torch.equal(image.flip(2) if flips[-1] else image, bank[index])
        check_embedded(batch.examples.image, embedded, mean, std)
    assert 0 < sum(flips) < len(flips)
    check_embedded(val, now.evaluated[0], mean, std)
    for part, embedded in ((bank, now.evaluated[1]), (val, now.evaluated[2])):
        check_embedded(part, embedded, mean, std)
        assert not hidden_in(embedded).any()  # features are of whole images


def check_embedded(images: Tensor, embedded: Tensor, mean: Tensor, std: Tensor) -> None:
    """Pixels are standardised; those that are masked are 0."""
    expected = plain.normalised(images, mean, std) * ~hidden_in(embedded)[:, None]
    torch.testing.assert_close(embedded[..., :3].movedim(3, 1), expected, atol=1e-5, rtol=0)


def test_the_loss_is_that_of_masked_pixels_alone(seen: dict[Setting, Seen]) -> None:
    for now in seen.values():
        for batch, embedded, output, loss in zip(
            now.batches, now.inputs, now.outputs, now.losses, strict=True
        ):
            images, hidden = now.data.standardised(batch.examples.image), hidden_in(embedded)
            errors = (output - images).movedim(1, 3)[hidden]  # [N, 3]
            assert loss == pytest.approx(errors.square().mean().item(), rel=1e-5)


def test_masks_differ_by_image_step_seed_and_size_and_are_the_same_for_all_encoders(
    seen: dict[Setting, Seen],
) -> None:
    drawn: dict[tuple[int, int], set[bytes]] = {}
    measured: dict[int, set[bytes]] = {}
    for (_, size, seed), now in seen.items():
        hidden = torch.cat([hidden_in(embedded) for embedded in now.inputs])
        assert len({one.numpy().tobytes() for one in hidden}) == 12  # two batches of six
        drawn.setdefault((size, seed), set()).add(hidden.numpy().tobytes())
        fixed = hidden_in(now.evaluated[0])
        assert len({one.numpy().tobytes() for one in fixed}) == 14
        assert not torch.equal(fixed[:12], hidden)
        measured.setdefault(size, set()).add(fixed.numpy().tobytes())
    assert [len(masks) for masks in drawn.values()] == [1] * 4
    assert len(set.union(*drawn.values())) == 4
    assert [len(masks) for masks in measured.values()] == [1, 1]  # whatever the seed


def test_a_seed_decides_weights_order_and_views(seen: dict[Setting, Seen]) -> None:
    for (encoder, size, seed), now in seen.items():
        other = seen[encoder, size, 12 - seed]
        for name, value in now.first.items():
            if value.ndim > 1 and "grn" not in name:
                assert not torch.equal(value, other.first[name]), name
        same = seen[encoder, 10 - size, seed]
        assert all(torch.equal(value, same.first[name]) for name, value in now.first.items())
        for ours, theirs, sames in zip(now.batches, other.batches, same.batches, strict=True):
            assert ours.indices != theirs.indices
            assert ours.indices == sames.indices
            assert torch.equal(ours.examples.image, sames.examples.image)
    one, two = (
        {
            i: image
            for batch in seen[GRN, 6, seed].batches
            for i, image in zip(batch.indices, batch.examples.image, strict=True)
        }
        for seed in (7, 5)
    )
    assert not all(torch.equal(one[i], two[i]) for i in one.keys() & two.keys())  # flipped


# Three steps by hand: the first has a rate of 0


@pytest.mark.parametrize("encoder", [GRN, TRANSFORMER])
def test_training_is_that_of_plain_torch(
    encoder: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, size, seed, steps = 11, 4, 3, 3
    recipe = dataclasses.replace(
        RECIPE, num_images=None, batch_size=batch, epochs=1, warmup_epochs=1 / 3, seeds=(seed,)
    )
    first: list[dict[str, Tensor]] = []
    optimise = training.optimise

    def note(module: Toy, *arguments: Any, **options: Any) -> Iterator[Step]:
        first.append({name: value.clone() for name, value in module.state_dict().items()})
        return optimise(module, *arguments, **options)

    monkeypatch.setattr(training, "optimise", note)
    monkeypatch.setattr(runner, "write_page", lambda _: None)
    monkeypatch.setitem(SCALES, "small", recipe)
    reconstruction(
        data=str(images), out=str(tmp_path), encoders=(encoder,), mask_sizes=(size,), device="cpu",
        workers=0,
    )  # fmt: skip
    trained = load_file(tmp_path / "settings" / f"{encoder}-{size}-{seed}" / "weights.safetensors")

    files = sorted((images / "train").rglob("*.png"))
    bank = torch.stack([pixels_of_file(file) for file in files]).double()
    mean = bank.mean((0, 2, 3))
    std = (bank.square().mean((0, 2, 3)) - mean.square()).sqrt()
    w = {name: value.double().requires_grad_() for name, value in first[0].items()}
    decays = {n: 0.2 if v.ndim > 1 and "grn" not in n else 0.0 for n, v in w.items()}
    optimizer = plain.AdamW((0.7, 0.8))
    peak = recipe.base_learning_rates[encoder] * batch / 256
    for step in range(steps):
        samples = plain.batch_of(files, step, batch, seed)
        views = [
            plain.crop_of(files[i], (SIDE, SIDE), (1.0, 1.0), 0.5, plain.seed_of(seed, epoch, i))
            for epoch, i in samples
        ]
        pixels = ((torch.stack(views) - mean.view(3, 1, 1)) / std.view(3, 1, 1)).double()
        noise = torch.rand(batch, 36, generator=plain.dice(seed, step, 1 << 40))
        hidden = noise.argsort(1).argsort(1).view(batch, 1, 6, 6) >= 25  # of 36 squares
        hidden = hidden.repeat_interleave(size, 2).repeat_interleave(size, 3)
        errors = (predicted(w, pixels, hidden, encoder) - pixels).square()
        loss = errors[hidden.expand_as(errors)].mean()
        gradients, _ = plain.gradients_of(loss, w)
        rate = plain.rate_of(step, peak=peak, minimum=0.0, warmup=1, steps=steps)
        after = {name: value.detach() for name, value in w.items()}
        optimizer.step(after, gradients, dict.fromkeys(w, rate), decays)
        w = {name: value.requires_grad_() for name, value in after.items()}
    assert trained.keys() == w.keys()
    for name, value in w.items():
        way = (value - first[0][name]).norm()
        assert way > 0
        assert (trained[name] - value).norm() < 0.005 * way, name


def predicted(w: dict[str, Tensor], pixels: Tensor, hidden: Tensor, encoder: str) -> Tensor:
    """The toy model in plain torch: [B, 3, H, W]."""
    x = torch.cat((pixels * ~hidden, hidden), 1)
    x = plain.conv(x, w, "embedding", stride=4)
    if encoder == TRANSFORMER:
        x = transformed(w, x)
    else:
        for block in range(6):
            x = plain.block(x, w, f"encoder.{block}", torch.ones(1).to(x))
    values = plain.linear(plain.norm(x, w, "norm"), w, "head")  # rows, columns, channels
    squares = values.unflatten(1, (4, 4, 3)).permute(0, 3, 4, 1, 5, 2)  # [B, 3, h, 4, w, 4]
    return squares.reshape(pixels.shape)


def transformed(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """Four blocks of four heads, of places with codes; [B, C, h, w]."""
    side, width = x.shape[3], x.shape[1]
    angles = torch.arange(side)[:, None] / 10000 ** (torch.arange(width // 4) / (width // 4))
    line = torch.cat((angles.sin(), angles.cos()), 1)  # [side, C / 2]
    codes = torch.cat((line.repeat_interleave(side, 0), line.repeat(side, 1)), 1)
    x = x.flatten(2).transpose(1, 2) + codes
    for number in range(4):
        own = f"encoder.blocks.{number}."
        part = {name.removeprefix(own): value for name, value in w.items() if name.startswith(own)}

        def linear(x: Tensor, name: str, part: dict[str, Tensor] = part) -> Tensor:
            return F.linear(x, part[f"{name}.weight"], part[f"{name}.bias"])

        def norm(x: Tensor, name: str, part: dict[str, Tensor] = part) -> Tensor:
            weight, bias = part[f"{name}.weight"], part[f"{name}.bias"]
            return F.layer_norm(x, (width,), weight, bias, 1e-6)

        asked = F.linear(
            norm(x, "norm1"), *(part[f"self_attn.in_proj_{k}"] for k in ("weight", "bias"))
        )
        q, k, v = asked.unflatten(2, (3, 4, width // 4)).permute(2, 0, 3, 1, 4)  # [B, 4, N, C / 4]
        attention = (q @ k.mT / math.sqrt(width // 4)).softmax(3) @ v
        x = x + linear(attention.transpose(1, 2).flatten(2), "self_attn.out_proj")
        x = x + linear(F.gelu(linear(norm(x, "norm2"), "linear1")), "linear2")
    return x.transpose(1, 2).unflatten(2, (side, side))
