"""What a network says about each image of a set: one vector an image."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fcmae.images import EvaluationView, Labelled, Unreadables, load_in_order
from fcmae.models.encoder import Backbone
from fcmae.training.devices import Place

Network = Callable[[Tensor], Tensor]  # images [B, C, H, W] in 0..1 -> features [B, D]


@dataclass(frozen=True, slots=True)
class Features:
    """The features of a set's readable images.

    Attributes:
        values: float32 [N, D].
        labels: class of each image, int64 [N].
        indices: the set's number of each image, int64 [N], growing.
    """

    values: Tensor
    labels: Tensor
    indices: Tensor

    def rows(self, chosen: Tensor) -> "Features":
        """Some of them: bool [N]."""
        return Features(self.values[chosen], self.labels[chosen], self.indices[chosen])

    def to(self, device: torch.device) -> "Features":
        """On another device."""
        return Features(*(part.to(device) for part in (self.values, self.labels, self.indices)))


def pooled(encoder: Backbone, mean: Sequence[float], std: Sequence[float], place: Place) -> Network:
    """The last stage of an encoder, averaged over the whole map: [B, C, H, W] -> [B, C_4].

    Nothing is masked, and there is no LayerNorm behind it: it is no part of what pre-training
    trains (authors' code). In evaluation mode; the encoder's own modes are as before afterwards.

    Args:
        encoder: on the device of `place`.
        mean: of each channel, in units of 0..1, as in pre-training.
        std: likewise.
        place: device and precision.
    """
    centre = torch.tensor(mean, device=place.device).view(-1, 1, 1)
    scale = torch.tensor(std, device=place.device).view(-1, 1, 1)

    def network(images: Tensor) -> Tensor:
        with evaluating(encoder), place.autocast():
            last = encoder.features((images - centre) / scale)[-1]  # [B, C_4, h, w]
        return last.float().mean((2, 3))

    return network


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode meanwhile; each part's own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def extract(
    networks: Sequence[Network],
    images: Labelled,
    *,
    image_size: tuple[int, int],
    channels: int,
    place: Place,
    batch_size: int = 64,
    workers: int = 0,
    done: Callable[[int], object] | None = None,
) -> tuple[list[Features], Unreadables]:
    """Read every image once, in the view that accuracies are measured on, for all `networks`.

    Args:
        networks: functions of images on the device of `place`.
        images: the set.
        image_size: height and width of the view, in pixels.
        channels: number of channels of the images, C.
        place: device.
        batch_size: images at a time.
        workers: processes that read ahead.
        done: is told the number of images of each batch, for a progress bar.

    Returns:
        Features for each network, on the processor, and the files that could not be read.

    Raises:
        TooManyUnreadable: if more than 5 % of the files are.
        ValueError: if a feature is not a number.
    """
    unreadables = Unreadables(len(images))
    values: list[list[Tensor]] = [[] for _ in networks]
    indices: list[int] = []
    for batch in load_in_order(
        images,
        view=EvaluationView(image_size),
        channels=channels,
        batch_size=batch_size,
        workers=workers,
    ):
        unreadables.add(batch.unreadable)
        if batch.examples is not None:
            pixels = batch.examples.image.to(place.device)
            for network, column in zip(networks, values, strict=True):
                features = network(pixels).cpu()  # [n, D]
                if not features.isfinite().all():
                    row = int(features.isfinite().all(1).int().argmin())
                    raise ValueError(
                        f"weights: a feature of {images.name(batch.indices[row])} is not a number; "
                        "try --precision fp32, or check the weights with fcmae doctor"
                    )
                column.append(features)
            indices += batch.indices
        if done is not None:
            done(len(batch.indices) + len(batch.unreadable))
    numbers = torch.tensor(indices)
    labels = torch.tensor(images.labels)[numbers]
    return [Features(torch.cat(column), labels, numbers) for column in values], unreadables


def standardise(train: Features, val: Features) -> tuple[Features, Features]:
    """Give each feature mean 0 and deviation 1 over `train`; in `val` by the same numbers.

    It is the BatchNorm without parameters that masked autoencoders are probed with: nothing in
    pre-training fixes the scale of the last stage's features, so that those of large scale would
    decide alone which images are near each other, and which weights are penalised. It needs no
    labels. A feature that is constant in `train` becomes 0 there, and keeps its scale.
    """
    deviation, mean = torch.std_mean(train.values.double(), 0, correction=0)
    constant = deviation <= 1e-6 * mean.abs().clamp(min=1e-12)  # what is left is rounding
    deviation = torch.where(constant, 1.0, deviation)

    def standardised(features: Features) -> Features:
        values = ((features.values - mean) / deviation).float()
        return Features(values, features.labels, features.indices)

    return standardised(train), standardised(val)
