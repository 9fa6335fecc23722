"""Facts, printed: the paper's recipes, and every size. Needs no torch."""

from dataclasses import dataclass
from typing import Literal

from fcmae.commands.command import Options, command


@dataclass(frozen=True, kw_only=True)
class RecipeShow(Options):
    """Print the paper's settings, with errata and what the tables leave out.

    Args:
        task: pretrain or finetune.
        size: atto, base, convnextv2_base, ...: one column of the table. Default: all of it.
        stage: of fine-tuning: 1k, 22k or 22k-to-1k. Default: 1k.
    """

    task: Literal["pretrain", "finetune"]
    size: str | None = None
    stage: Literal["1k", "22k", "22k-to-1k"] | None = None


@dataclass(frozen=True, kw_only=True)
class Models(Options):
    """Every size, with 1000 classes: depths, width, parameters, FLOPs, accuracies and memory.

    FLOPs are multiply-adds. Accuracies are those that the paper prints, in per cent on ImageNet-1K:
    after FCMAE for V2 and supervised for V1 (Table 7, 224 pixels); and after ImageNet-22K as well,
    at 224, 384 and 512 pixels (Table 8). Memory is that of weights, gradients and AdamW's state in
    float32; activations come on top, and depend on images and batch.
    """


recipe_show = command(RecipeShow, "fcmae.commands.recipe:run_recipe_show", type(None))
models = command(Models, "fcmae.commands.recipe:run_models", type(None))


def run_recipe_show(options: RecipeShow) -> None:
    """Print what `recipe_show` is asked for."""
    from fcmae.recipes.show import show_recipe

    print(show_recipe(options.task, options.size, options.stage), end="")


def run_models(options: Models) -> None:
    """Print the table of all sizes."""
    from fcmae.recipes.show import show_models

    print(show_models(), end="")
