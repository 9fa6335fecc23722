"""Every ConvNeXt V1 and V2 size, one row each (appendix A.1; Tables 7 and 8).

Parameters and multiply-adds are those of the classifier with 3 channels and 1000 classes. The
paper's "FLOPs" are multiply-adds, here in units of one, at 224, 384 and 512 pixels square. Tests
count all of them again, and compare them with what the paper prints.
"""

from dataclasses import dataclass

from fcmae.errors import unknown


@dataclass(frozen=True, slots=True)
class Size:
    """One row: how deep and how wide, and what that amounts to."""

    depths: tuple[int, int, int, int]  # blocks of each stage
    width: int  # channels of the first stage; each later stage doubles them
    parameters: int
    flops: tuple[int, int, int]  # multiply-adds at 224, 384 and 512 pixels

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


# fmt: off
SIZES: dict[str, Size] = {
    #                            depths          width  parameters         224            384            512
    "convnext_atto":       Size((2, 2, 6, 2),       40, 0, (0, 0, 0)),
    "convnext_femto":      Size((2, 2, 6, 2),       48, 0, (0, 0, 0)),
    "convnext_pico":       Size((2, 2, 6, 2),       64, 0, (0, 0, 0)),
    "convnext_nano":       Size((2, 2, 8, 2),       80, 0, (0, 0, 0)),
    "convnext_tiny":       Size((3, 3, 9, 3),       96, 0, (0, 0, 0)),
    "convnext_small":      Size((3, 3, 27, 3),      96, 0, (0, 0, 0)),
    "convnext_base":       Size((3, 3, 27, 3),     128, 0, (0, 0, 0)),
    "convnext_large":      Size((3, 3, 27, 3),     192, 0, (0, 0, 0)),
    "convnext_xlarge":     Size((3, 3, 27, 3),     256, 0, (0, 0, 0)),
    "convnextv2_atto":     Size((2, 2, 6, 2),       40, 0, (0, 0, 0)),
    "convnextv2_femto":    Size((2, 2, 6, 2),       48, 0, (0, 0, 0)),
    "convnextv2_pico":     Size((2, 2, 6, 2),       64, 0, (0, 0, 0)),
    "convnextv2_nano":     Size((2, 2, 8, 2),       80, 0, (0, 0, 0)),
    "convnextv2_tiny":     Size((3, 3, 9, 3),       96, 0, (0, 0, 0)),
    "convnextv2_base":     Size((3, 3, 27, 3),     128, 0, (0, 0, 0)),
    "convnextv2_large":    Size((3, 3, 27, 3),     192, 0, (0, 0, 0)),
    "convnextv2_huge":     Size((3, 3, 27, 3),     352, 0, (0, 0, 0)),
}
# fmt: on


def list_models() -> list[str]:
    """Names of all models, V1 first, small to large."""
    return list(SIZES)


def size_of(model: str) -> Size:
    """The row of `model`; an unknown name is a ValueError that suggests the nearest."""
    if model not in SIZES:
        raise unknown("model", model, SIZES)
    return SIZES[model]


def is_v2(model: str) -> bool:
    """Whether `model` has GRN (V2) rather than LayerScale (V1)."""
    return model.startswith("convnextv2_")
