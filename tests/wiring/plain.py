"""Training steps in plain torch, from the paper's tables and the promises of the documentation.

They share with the package the names of the weights, the way to make a seed of numbers, and what
other tests hold against timm and torchvision image by image (erasing, mixing, pairs of views). What
is written here anew is how all that comes together: files, crops, normalisation, masks, model,
loss, gradients, decay, rates, averages. Models are of one block a stage.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2.functional import resized_crop

Weights = Mapping[str, Tensor]
BLOCKS = tuple(f"stages.{stage}.0" for stage in range(4))


def seed_of(*numbers: int) -> int:
    """What everything random is drawn by."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def dice(*numbers: int) -> torch.Generator:
    """A generator of that seed."""
    return torch.Generator().manual_seed(seed_of(*numbers))


def batch_of(files: list[Path], step: int, batch_size: int, seed: int) -> list[tuple[int, int]]:
    """Epoch and number of each image of a step; what is left over waits for another epoch."""
    epoch, within = divmod(step, len(files) // batch_size)
    order = np.argsort(np.random.PCG64(seed_of(seed, epoch)).random_raw(len(files)), kind="stable")
    return [(epoch, int(i)) for i in order[within * batch_size : (within + 1) * batch_size]]


def crop_of(
    file: Path, size: tuple[int, int], scale: tuple[float, float], flip: float, seed: int
) -> Tensor:
    """A file's pixels as torchvision's RandomResizedCrop and RandomHorizontalFlip see them."""
    pixels = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)
    torch.manual_seed(seed)
    window = RandomResizedCrop.get_params(pixels, list(scale), [3 / 4, 4 / 3])
    crop = resized_crop(pixels, *window, list(size), InterpolationMode.BICUBIC, antialias=True)
    return (crop.flip(-1) if torch.rand(1).item() < flip else crop) / 255


def rand_augmented(crop: Tensor, magnitude: int, deviation: float, mean: Iterable[float]) -> Tensor:
    """As timm's RandAugment, seeded by what torch's generator says next after `crop_of`."""
    colour = tuple(round(255 * value) for value in mean)
    policy = rand_augment_transform(
        f"rand-m{magnitude}-mstd{deviation}-inc1",
        {"img_mean": colour, "interpolation": Image.Resampling.BICUBIC},
    )
    seed = int(torch.randint(2**32, (1,)).item())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    picture = Image.fromarray((crop * 255).round().byte().permute(1, 2, 0).numpy())
    return torch.from_numpy(np.array(policy(picture))).permute(2, 0, 1) / 255


def normalised(images: Tensor, mean: Iterable[float], std: Iterable[float]) -> Tensor:
    """[B, C, H, W] less the mean, by the deviation."""
    return (images - torch.tensor([*mean]).view(-1, 1, 1)) / torch.tensor([*std]).view(-1, 1, 1)


# The model: maps are [B, C, H, W]; what is masked is 0 wherever a neighbour could see it


def norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """LayerNorm over channels."""
    last = F.layer_norm(
        x.movedim(1, -1), x.shape[1:2], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6
    )
    return last.movedim(-1, 1)


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    """Of each site's channels."""
    return F.linear(x.movedim(1, -1), w[f"{name}.weight"], w[f"{name}.bias"]).movedim(-1, 1)


def conv(x: Tensor, w: Weights, name: str, **options: int) -> Tensor:
    """A convolution with its bias."""
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)


def block(x: Tensor, w: Weights, name: str, visible: Tensor, kept: Tensor | float = 1.0) -> Tensor:
    """One block; `visible` is [B, 1, H, W], 1 or 0; `kept` is what drop path leaves, [B]."""
    y = conv(x * visible, w, f"{name}.dwconv", padding=3, groups=x.shape[1])
    y = F.gelu(linear(norm(y, w, f"{name}.norm"), w, f"{name}.pwconv1"))
    energy = (y * visible).square().sum((2, 3), keepdim=True).sqrt()
    response = energy / (energy.mean(1, keepdim=True) + 1e-6)
    gamma, beta = (w[f"{name}.grn.{part}"].view(1, -1, 1, 1) for part in ("gamma", "beta"))
    y = linear(gamma * (y * response) + beta + y, w, f"{name}.pwconv2")
    return x + torch.as_tensor(kept).to(y).view(-1, 1, 1, 1) * y


def features(
    w: Weights,
    images: Tensor,
    stem_stride: int,
    masked: Tensor | None = None,
    kept: Iterable[Tensor | float] = (1.0,) * 4,
) -> Tensor:
    """The last stage, [B, C, h, w]; `masked` is bool [B, h, w]."""
    cells = masked if masked is not None else torch.zeros(len(images), 1, 1, dtype=torch.bool)
    x = images
    for stage, (name, share) in enumerate(zip(BLOCKS, kept, strict=True)):
        first, second = (f"downsample_layers.{stage}.{part}" for part in (0, 1))
        if stage == 0:
            x = norm(conv(x, w, first, stride=stem_stride), w, second)
        else:
            x = conv(norm(x, w, first), w, second, stride=2)
        visible = F.interpolate((~cells[:, None]).to(x), x.shape[2:], mode="nearest")
        x = block(x, w, name, visible, share)
    return x


def reconstruction_loss(
    w: Weights, images: Tensor, masked: Tensor, *, stem_stride: int, depth: int, norm_pix: bool
) -> Tensor:
    """Of masked patches of the total stride's side: encoder, mask tokens, decoder, squares."""
    side = images.shape[2] // masked.shape[1]
    encoder = {name[8:]: value for name, value in w.items() if name.startswith("encoder.")}
    x = linear(features(encoder, images, stem_stride, masked), w, "decoder.proj")
    hidden = masked[:, None].to(x)
    x = x * (1 - hidden) + w["decoder.mask_token"].view(1, -1, 1, 1) * hidden
    for number in range(depth):
        x = block(x, w, f"decoder.blocks.{number}", torch.ones(1).to(x))
    prediction = linear(x, w, "decoder.pred").movedim(1, -1)  # [B, h, w, values]
    cells = images.unfold(2, side, side).unfold(3, side, side)  # [B, C, h, w, side, side]
    cells = cells.permute(0, 2, 3, 4, 5, 1).flatten(3)
    if norm_pix:
        deviation = (cells.var(-1, keepdim=True) + 1e-6).sqrt()
        cells = (cells - cells.mean(-1, keepdim=True)) / deviation
    return (prediction - cells).square().mean(-1)[masked].mean()


def logits(w: Weights, images: Tensor, stem_stride: int, kept: Iterable[Tensor | float]) -> Tensor:
    """The classifier's, [B, K]."""
    pooled = features(w, images, stem_stride, kept=kept).mean((2, 3))
    return linear(norm(pooled, w, "norm"), w, "head")


def projection(w: Weights, images: Tensor, stem_stride: int, branch: str) -> Tensor:
    """MoCo's queries or keys: encoder, pooling, three linear layers with BatchNorm."""
    own = {name[len(branch) + 1 :]: value for name, value in w.items() if name.startswith(branch)}
    encoder = {name[8:]: value for name, value in own.items() if name.startswith("encoder.")}
    return perceptron(own, features(encoder, images, stem_stride).mean((2, 3)), "projector")


def perceptron(w: Weights, x: Tensor, name: str) -> Tensor:
    """Linear, BatchNorm, ReLU, and so on; the last BatchNorm has no scale."""
    layers = sorted({int(key.split(".")[1]) for key in w if key.startswith(f"{name}.")})
    linears = [number for number in layers if w[f"{name}.{number}.weight"].ndim == 2]
    for number in linears:
        x = F.linear(x, w[f"{name}.{number}.weight"])
        scale = [w.get(f"{name}.{number + 1}.{part}") for part in ("weight", "bias")]
        x = F.batch_norm(x, None, None, *scale, training=True)
        x = F.relu(x) if number != linears[-1] else x
    return x


def contrastive_loss(
    w: Weights, first: Tensor, second: Tensor, *, stem_stride: int, temperature: float
) -> Tensor:
    """Symmetric InfoNCE between predicted queries and keys."""
    own = torch.arange(len(first))

    def one_way(asking: Tensor, answering: Tensor) -> Tensor:
        query = perceptron(w, projection(w, asking, stem_stride, "query"), "predictor")
        key = projection(w, answering, stem_stride, "key").detach()
        cosines = F.cosine_similarity(query[:, None], key[None], dim=2)
        return 2 * temperature * F.cross_entropy(cosines / temperature, own)

    return one_way(first, second) + one_way(second, first)


# The optimiser


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019), bias-corrected moments."""

    def __init__(self, betas: tuple[float, float]) -> None:
        self.betas, self.moments, self.steps = betas, dict[str, tuple[Tensor, Tensor]](), 0

    def step(
        self,
        w: dict[str, Tensor],
        gradients: Weights,
        rates: Mapping[str, float],
        decays: Mapping[str, float],
    ) -> None:
        """Change `w`."""
        self.steps += 1
        (one, two), count = self.betas, self.steps
        for name, gradient in gradients.items():
            mean, square = self.moments.get(name, (torch.zeros_like(gradient),) * 2)
            mean = one * mean + (1 - one) * gradient
            square = two * square + (1 - two) * gradient.square()
            self.moments[name] = mean, square
            towards = mean / (1 - one**count) / ((square / (1 - two**count)).sqrt() + 1e-8)
            rate = rates[name]
            w[name] = w[name] * (1 - rate * decays[name]) - rate * towards


def rate_of(step: int, *, peak: float, minimum: float, warmup: int, steps: int) -> float:
    """Linear from 0, then half a cosine."""
    if step < warmup:
        return peak * step / warmup
    return (
        minimum
        + (peak - minimum) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
    )


def gradients_of(loss: Tensor, w: Weights) -> tuple[dict[str, Tensor], float]:
    """Of each weight that has one, and the norm of all together."""
    names = [name for name, value in w.items() if value.requires_grad]
    found = torch.autograd.grad(loss, [w[name] for name in names])
    norm = torch.cat([gradient.flatten() for gradient in found]).norm().item()
    return dict(zip(names, found, strict=True)), norm
