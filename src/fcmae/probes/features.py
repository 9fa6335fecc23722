"""One vector for each image of a set: features of networks, or histograms of colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fcmae.images import Labelled, Unreadables
from fcmae.inference.loop import Preprocessing, forward_in_order
from fcmae.training.devices import Runtime

JOINT, SEPARATE = 8, 32  # bins a channel of a histogram
REACH = 3  # deviations on either side of the mean


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


def extract(
    forward: Callable[[Tensor], Tensor | Sequence[Tensor]],
    images: Labelled,
    preprocessing: Preprocessing,
    runtime: Runtime,
    *,
    title: str | None = None,
) -> tuple[list[Features], Unreadables]:
    """Read every image once, in the view that accuracies are measured on.

    Args:
        forward: as of `forward_in_order`: one or several tensors of features, [n, D] each.
        images: the set.
        preprocessing: of the images.
        runtime: where to compute. Each process reads all images.
        title: of the progress bar; None for none.

    Returns:
        Features for each tensor, on the processor, and the files that could not be read.

    Raises:
        TooManyUnreadable: if more than 5 % of the files are.
        NonFiniteOutput: if a feature is not a number.
    """
    unreadables = Unreadables(len(images))
    batches: list[list[Tensor]] = []
    indices: list[int] = []
    alone = Runtime(runtime.device, runtime.precision)
    for output in forward_in_order(forward, images, preprocessing, alone, title=title):
        unreadables.add(output.unreadable)
        if output.indices:
            batches.append(output.tensors)
            indices += output.indices
    numbers = torch.tensor(indices)
    labels = torch.tensor(images.labels)[numbers]
    columns = zip(*batches, strict=True)
    return [Features(torch.cat(column), labels, numbers) for column in columns], unreadables


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


def colour_histogram(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The control that knows colours and nothing else: roots of the shares of pixels in each bin.

    Of three channels the histogram is joint, 8 x 8 x 8 bins; of any other number, C, it is C
    histograms of 32 bins. Bins divide mean ± 3 deviations as far as that lies in 0..1, all of it
    for ordinary photographs; what lies outside counts in the outermost. With roots the scalar
    product of two histograms is the Bhattacharyya coefficient, a stronger control than that of
    the shares.

    Args:
        images: [B, C, H, W] in 0..1.
        mean: of each channel, in units of 0..1.
        std: likewise.

    Returns:
        [B, 512] or [B, 32 C].
    """
    channels = len(mean)
    joint = channels == 3
    bins = JOINT if joint else SEPARATE
    total = bins**3 if joint else channels * bins
    centre, reach = (torch.tensor(x, device=images.device).view(-1, 1) for x in (mean, std))
    low = (centre - REACH * reach).clamp(min=0)
    high = (centre + REACH * reach).clamp(max=1)
    pixels = images.flatten(2)  # [B, C, H W]
    bin_ = ((pixels - low) / (high - low) * bins).long().clamp(0, bins - 1)
    if joint:
        bin_ = (bin_[:, 0] * bins + bin_[:, 1]) * bins + bin_[:, 2]  # [B, H W]
    else:
        bin_ = bin_ + bins * torch.arange(channels, device=images.device).view(-1, 1)
    image = torch.arange(len(images), device=images.device) * total
    numbers = (bin_.flatten(1) + image.view(-1, 1)).flatten()
    counts = torch.bincount(numbers, minlength=len(images) * total).view(len(images), total)
    return (counts / pixels.shape[2]).sqrt()
