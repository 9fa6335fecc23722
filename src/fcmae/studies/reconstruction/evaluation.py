"""What is measured of a trained setting: the error under fixed masks, and nearest neighbours."""

from collections.abc import Iterator

import torch
from torch import Tensor

from fcmae.images import (
    Batch,
    EvaluationView,
    Labelled,
    Unlabelled,
    Unreadables,
    centre_crop,
    load_in_order,
    sample_seed,
)
from fcmae.inference.loop import evaluating
from fcmae.models.masks import patch_grid, random_mask
from fcmae.probes.blocks import cosine_distances
from fcmae.probes.comparison import score
from fcmae.probes.features import Features, standardise
from fcmae.probes.knn import nearest_neighbours
from fcmae.studies.reconstruction import Recipe
from fcmae.studies.reconstruction.model import CHANNELS, Toy, pixels, squared_errors
from fcmae.studies.reconstruction.training import Data
from fcmae.training.devices import Runtime

BATCH = 250  # images at a time; fixed, since masks are drawn so
MASKS = 1 << 41  # sets the seeds of these masks apart from those of every setting


@torch.no_grad()
def measure(model: Toy, mask_size: int, data: Data, runtime: Runtime) -> dict[str, float]:
    """Measure a model on the images of `val`, seen whole as in training.

    Features are the encoder's, of images of which nothing is masked, averaged over all positions
    and standardised over the bank, as everywhere in this project.

    Args:
        model: on the device of `runtime`.
        mask_size: pixels a side of what is masked together; masks do not depend on the model.
        data: its `train` is the bank of neighbours; of its recipe, image size, mask ratio and
            number of neighbours count.
        runtime: device and precision.

    Returns:
        "mse": mean squared error of the masked values, of pixels in 0..1.
        "top_1_error": share of images whose class is not the first by their neighbours' votes.
        "top_5_error": share of images whose class is not among the first five.
        "diversity": feature cosine distance of the last block's output, of images without a mask.

    Raises:
        TooManyUnreadable: if more than 5 % of the files are.
    """
    with evaluating(model), runtime.autocast():
        mse = _mse(model, mask_size, data, runtime)
        bank, _ = _features(model, data.train, data, runtime)
        val, diversity = _features(model, data.val, data, runtime)
    classes = len(data.train.classes)
    votes = nearest_neighbours(*standardise(bank, val), classes, (data.recipe.neighbours,))
    found = score(votes, val.labels)
    assert found.top_5 is not None  # `open_data` wants more than five classes
    return {
        "mse": mse,
        "top_1_error": 1 - found.mean,
        "top_5_error": 1 - found.top_5.double().mean().item(),
        "diversity": diversity,
    }


@torch.no_grad()
def reconstruct(model: Toy, mask_size: int, data: Data, runtime: Runtime) -> dict[str, Tensor]:
    """The pictures of `data` with what the model puts where they are masked.

    Returns:
        float32 [N, 3, H, W] in 0..1: "original"; "masked", where that is grey; "reconstruction".
    """
    images = data.pictures
    mask = _mask(len(images), 0, mask_size, data.recipe)
    with evaluating(model), runtime.autocast():
        predicted = model(data.standardised(images).to(runtime.device), mask.to(runtime.device))
    hidden = pixels(mask, images)
    predicted = data.coloured(predicted.cpu()).clamp(0, 1)
    return {
        "original": images,
        "masked": images.masked_fill(hidden, 0.5),
        "reconstruction": torch.where(hidden, predicted, images),
    }


def _mse(model: Toy, mask_size: int, data: Data, runtime: Runtime) -> float:
    total, count = 0.0, 0
    for images, batch in _batches(data.val, data, runtime):
        mask = _mask(len(images), batch.first, mask_size, data.recipe).to(runtime.device)
        predicted = data.coloured(model(data.standardised(images), mask))
        errors = squared_errors(predicted, images, mask)
        total, count = total + errors.sum().item(), count + len(errors)
    return total / count


def _features(model: Toy, part: Labelled, data: Data, runtime: Runtime) -> tuple[Features, float]:
    """The features of images, and the mean of their diversity."""
    values, indices, distances = [], [], []
    for images, batch in _batches(part, data, runtime):
        maps = model.encode(data.standardised(images))  # [B, h, w, width]
        values.append(model.norm(maps).float().mean((1, 2)).cpu())
        distances.append(cosine_distances(maps).cpu())
        indices += batch.indices
    numbers = torch.tensor(indices)
    features = Features(torch.cat(values), torch.tensor(part.labels)[numbers], numbers)
    return features, torch.cat(distances).mean().item()


def _batches(
    part: Labelled, data: Data, runtime: Runtime
) -> Iterator[tuple[Tensor, Batch[Unlabelled | None]]]:
    """Every readable image once, whole: the view of accuracies would cut off their edges."""
    unreadables = Unreadables(len(part))
    view = EvaluationView((data.recipe.image_size, data.recipe.image_size), centre_crop)
    for batch in load_in_order(
        part, view=view, channels=CHANNELS, batch_size=BATCH, workers=data.workers
    ):
        unreadables.add(batch.unreadable)
        if batch.examples is not None:
            yield batch.examples.image.to(runtime.device), batch


def _mask(number: int, first: int, mask_size: int, recipe: Recipe) -> Tensor:
    """Masks of a batch, a function of its place in the set: bool [number, h, w]."""
    generator = torch.Generator().manual_seed(sample_seed(MASKS, mask_size, first))
    grid = patch_grid(recipe.image_size, recipe.image_size, mask_size)
    return random_mask(number, grid, recipe.mask_ratio, generator)
