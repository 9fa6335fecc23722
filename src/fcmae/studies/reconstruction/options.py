"""The options of the study, checked before any work is done."""

from dataclasses import replace
from typing import Any

from fcmae.errors import unknown
from fcmae.models.masks import num_visible, patch_grid
from fcmae.studies.reconstruction.recipe import ENCODERS, SCALES, Recipe
from fcmae.studies.work import each_once, some_of

LISTS = ("mask_sizes", "seeds")
NUMBERS = ("epochs", "num_images", "batch_size", "image_size")


def settle(options: dict[str, Any]) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a scale, with what was given in its place, and the encoders.

    Raises:
        ValueError: naming the option that cannot be.
    """
    if options["scale"] not in SCALES:
        raise unknown("scale", options["scale"], SCALES)
    for name in LISTS:
        each_once(name, options[name])
    encoders = some_of("encoder", options["encoders"], ENCODERS)
    for name in NUMBERS:
        if options[name] is not None and options[name] < 1:
            raise ValueError(f"{name} {options[name]}: at least 1 is needed")
    if options["workers"] is not None and options["workers"] < 0:
        raise ValueError(f"workers {options['workers']} is negative: 0 reads in the same process")
    given = {name: options[name] for name in (*LISTS, *NUMBERS) if options[name]}
    recipe = replace(SCALES[options["scale"]], **given)
    _check_sizes(recipe)
    return recipe, encoders


def _check_sizes(recipe: Recipe) -> None:
    side, stride = recipe.image_size, recipe.stem_stride
    if side % stride:
        raise ValueError(
            f"image_size {side} is not a multiple of {stride}, the pixels a side of a position: "
            f"give {side + stride - side % stride}"
        )
    for size in recipe.mask_sizes:
        if size < 1:
            raise ValueError(f"mask_sizes {size}: at least 1 pixel is needed")
        try:
            rows, columns = patch_grid(side, side, size)
            num_visible(rows * columns, recipe.mask_ratio)
        except ValueError as error:
            raise ValueError(f"mask_sizes {size}: {error}") from error
