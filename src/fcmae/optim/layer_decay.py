"""Learning rates that fall with the distance from the head (appendix A.2 of the paper)."""

from fcmae.errors import unknown
from fcmae.sizes import is_v2, size_of

KINDS = ("layer", "group")
GROUPED_DEPTH = 27  # blocks of the third stage of the sizes that the group-wise rule is made for


def layer_scales(model: str, decay: float, kind: str = "layer") -> dict[str, float]:
    """What the learning rate of each parameter is multiplied by: decay ** (head's id - its id).

    Args:
        model: a name of `fcmae.list_models()`.
        decay: factor from a layer to the one before it; 1 leaves all rates as they are.
        kind: "layer" or "group", see `layer_ids`.

    Returns:
        Multipliers under the names of `create_model(model).state_dict()`; the head's is 1.

    Raises:
        ValueError: for a decay that is not in (0, 1], and as `layer_ids`.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"layer decay {decay} is not above 0 and at most 1 (1 is no decay)")
    ids = layer_ids(model, kind)
    head = ids["head.weight"]
    return {name: decay ** (head - layer) for name, layer in ids.items()}


def layer_ids(model: str, kind: str = "layer") -> dict[str, int]:
    """Number the layers of a classifier from the stem to the head, as the authors' code does.

    "layer" gives each block a layer of its own, from 1; downsampling belongs to the first block
    after it, and so does the stem. "group" has 14 layers whatever the size: the stem is 0, the
    stages are 1, 2, 3 to 11 (three blocks each) and 12, with the downsampling before them.

    Args:
        model: a name of `fcmae.list_models()`.
        kind: "layer" or "group"; of the fine-tuning recipes, Base and Large have groups.

    Returns:
        Layers under the names of `create_model(model).state_dict()`. Final norm and head are last.

    Raises:
        ValueError: for an unknown model or kind; for "group" of a size whose third stage has not
            27 blocks, for which the authors' numbers would leave a gap.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    depths = size_of(model).depths
    if kind == "group" and depths[2] != GROUPED_DEPTH:
        raise ValueError(
            f"kind 'group' is defined for {GROUPED_DEPTH} blocks in the third stage, and {model} "
            f"has {depths[2]}: use kind 'layer'"
        )

    def number(stage: int, block: int) -> int:
        if kind == "group":
            return (1, 2, 3 + block // 3, 12)[stage]
        return sum(depths[:stage]) + block + 1

    ids: dict[str, int] = {}
    for stage, depth in enumerate(depths):
        before = 0 if kind == "group" and stage == 0 else number(stage, 0)
        ids |= dict.fromkeys(_downsampling(stage), before)
        for block in range(depth):
            ids |= dict.fromkeys(_block(model, stage, block), number(stage, block))
    return ids | dict.fromkeys(_weights_and_biases("norm", "head"), max(ids.values()) + 1)


def _downsampling(stage: int) -> list[str]:
    return _weights_and_biases(f"downsample_layers.{stage}.0", f"downsample_layers.{stage}.1")


def _block(model: str, stage: int, block: int) -> list[str]:
    prefix = f"stages.{stage}.{block}"
    parts = (f"{prefix}.{part}" for part in ("dwconv", "norm", "pwconv1", "pwconv2"))
    scalings = ("grn.gamma", "grn.beta") if is_v2(model) else ("gamma",)
    return _weights_and_biases(*parts) + [f"{prefix}.{name}" for name in scalings]


def _weights_and_biases(*modules: str) -> list[str]:
    return [f"{module}.{name}" for module in modules for name in ("weight", "bias")]
