"""What the command line prints of facts: every size, and the paper's recipes. Needs no torch."""

from fcmae.recipes.accuracies import TABLE_7, TABLE_8
from fcmae.recipes.show import show_recipe
from fcmae.sizes import SIZES

GIGABYTE = 1e9
STATE = 16  # bytes a parameter in training: float32 weights, gradients, AdamW's two moments


def recipe_show(*, task: str, size: str | None = None, stage: str | None = None) -> None:
    """Print the paper's settings, with errata and what the tables leave out.

    Args:
        task: pretrain or finetune.
        size: atto, base, convnextv2_base, ...: one column of the table. Default: all of it.
        stage: of fine-tuning: 1k, 22k or 22k-to-1k. Default: 1k.
    """
    print(show_recipe(task, size, stage), end="")


def models() -> None:
    """Every size, with 1000 classes: depths, width, parameters, FLOPs, accuracies and memory.

    FLOPs are multiply-adds. Accuracies are those that the paper prints, in per cent on ImageNet-1K:
    after FCMAE for V2 and supervised for V1 (Table 7, 224 pixels); and after ImageNet-22K as well,
    at 224, 384 and 512 pixels (Table 8). Memory is that of weights, gradients and AdamW's state in
    float32; activations come on top, and depend on images and batch.
    """
    print(
        f"{'model':<20}{'depths':<14}{'width':>6}{'parameters':>12}"
        f"{'FLOPs at 224, 384, 512':>27}{'paper: 1K':>11}{'22K at 224, 384, 512':>22}"
        f"{'training':>10}"
    )
    for name, size in SIZES.items():
        depths = ", ".join(map(str, size.depths))
        flops = "".join(f"{flops / 1e9:>8.2f}G" for flops in size.flops)
        first = _percent(TABLE_7.get(name))
        later = "  ".join(_percent(TABLE_8.get((name, pixels))) for pixels in (224, 384, 512))
        state = f"{STATE * size.parameters / GIGABYTE:.2f} GB"
        print(
            f"{name:<20}{depths:<14}{size.width:>6}{size.parameters / 1e6:>11.1f}M{flops}"
            f"{first:>11}{later:>22}{state:>10}"
        )


def _percent(value: float | None) -> str:
    return "   -" if value is None else f"{value:.1f}"
