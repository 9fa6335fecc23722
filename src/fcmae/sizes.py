"""Every ConvNeXt V1 and V2 size, one row each (appendix A.1; Tables 7 and 8).

Parameters and multiply-adds are those of the classifier with 3 channels and 1000 classes. The
paper's "FLOPs" are multiply-adds, here in units of one, at 224, 384 and 512 pixels square. Tests
count all of them again, and compare them with what the paper prints.
"""
# ruff: noqa: E501 (a row is a line)

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
    #                        depths     width  parameters            224              384              512
    "convnext_atto":   Size((2, 2, 6, 2),   40,   3_695_520, (    547_332_480,   1_607_866_880,   2_858_181_120)),
    "convnext_femto":  Size((2, 2, 6, 2),   48,   5_217_784, (    779_629_824,   2_290_412_544,   4_071_545_856)),
    "convnext_pico":   Size((2, 2, 6, 2),   64,   9_045_672, (  1_367_055_360,   4_016_476_160,   7_140_003_840)),
    "convnext_nano":   Size((2, 2, 8, 2),   80,  15_593_560, (  2_445_528_320,   7_185_617_920,  12_773_934_080)),
    "convnext_tiny":   Size((3, 3, 9, 3),   96,  28_589_128, (  4_455_531_264,  13_092_317_184,  23_274_633_216)),
    "convnext_small":  Size((3, 3, 27, 3),  96,  50_223_688, (  8_683_712_256,  25_517_991_936,  45_364_721_664)),
    "convnext_base":   Size((3, 3, 27, 3), 128,  88_591_464, ( 15_354_729_472,  45_122_117_632,  80_216_301_568)),
    "convnext_large":  Size((3, 3, 27, 3), 192, 197_767_336, ( 34_361_433_600, 100_977_561_600, 179_514_470_400)),
    "convnext_xlarge": Size((3, 3, 27, 3), 256, 350_196_968, ( 60_921_030_656, 179_029_262_336, 318_272_651_264)),
    "convnextv2_atto": Size((2, 2, 6, 2),   40,   3_708_400, (    547_332_480,   1_607_866_880,   2_858_181_120)),
    "convnextv2_femto":Size((2, 2, 6, 2),   48,   5_233_240, (    779_629_824,   2_290_412_544,   4_071_545_856)),
    "convnextv2_pico": Size((2, 2, 6, 2),   64,   9_066_280, (  1_367_055_360,   4_016_476_160,   7_140_003_840)),
    "convnextv2_nano": Size((2, 2, 8, 2),   80,  15_623_800, (  2_445_528_320,   7_185_617_920,  12_773_934_080)),
    "convnextv2_tiny": Size((3, 3, 9, 3),   96,  28_635_496, (  4_455_531_264,  13_092_317_184,  23_274_633_216)),
    "convnextv2_base": Size((3, 3, 27, 3), 128,  88_717_800, ( 15_354_729_472,  45_122_117_632,  80_216_301_568)),
    "convnextv2_large":Size((3, 3, 27, 3), 192, 197_956_840, ( 34_361_433_600, 100_977_561_600, 179_514_470_400)),
    "convnextv2_huge": Size((3, 3, 27, 3), 352, 660_289_640, (114_922_100_480, 337_724_794_880, 600_397_445_120)),
}
# fmt: on


def list_models() -> list[str]:
    """Names of all models, V1 first, small to large."""
    return list(SIZES)


def total_stride(stem_stride: int) -> int:
    """Pixels a side of a site of the last stage: 8 times the stem's stride.

    Raises:
        ValueError: for a stem that no encoder here has.
    """
    if stem_stride not in (1, 2, 4):
        raise ValueError(
            f"stem_stride {stem_stride} is not supported: 4, or 1 or 2 for small images"
        )
    return 8 * stem_stride


def size_of(model: str) -> Size:
    """The row of `model`; an unknown name is a ValueError that suggests the nearest."""
    if model not in SIZES:
        raise unknown("model", model, SIZES)
    return SIZES[model]


def is_v2(model: str) -> bool:
    """Whether `model` has GRN (V2) rather than LayerScale (V1)."""
    return model.startswith("convnextv2_")
