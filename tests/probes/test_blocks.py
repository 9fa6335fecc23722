"""How unlike each other channels are: by definition, and on which tensor of every block."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import fcmae
from fcmae.models.encoder import Backbone
from fcmae.models.layers import compile_blocks
from fcmae.probes.blocks import cosine_distances, diversity


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_definition(image: Tensor) -> float:
    """(1 - cosine) / 2 of every ordered pair of channels, a channel with itself included."""
    distances = []
    channels = [image[:, :, c].flatten() for c in range(image.shape[2])]
    for one, other in itertools.product(channels, repeat=2):
        cosine = (one @ other / (one.norm() * other.norm())).item()
        distances.append((1 - cosine) / 2)
    return sum(distances) / len(distances)


@pytest.mark.parametrize("shape", [(1, 3, 5, 13), (3, 1, 2, 2), (2, 4, 4, 1), (1, 1, 1, 7)])
@pytest.mark.parametrize("offset", [0.0, 1.5])
def test_the_distance_is_the_mean_over_all_pairs(shape: tuple[int, ...], offset: float) -> None:
    x = noise(*shape) + offset
    found = cosine_distances(x)
    assert found.tolist() == pytest.approx([by_definition(image) for image in x], abs=1e-12)


def test_collapsed_channels_have_no_distance() -> None:
    x = noise(2, 3, 5, 1) * torch.linspace(0.1, 20, 13)  # the same map, louder or softer
    assert cosine_distances(x).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_unrelated_channels_are_half_apart() -> None:
    assert cosine_distances(noise(1, 64, 64, 200)).item() == pytest.approx(0.5, abs=0.01)


def test_a_channel_and_its_opposite_are_one_apart() -> None:
    one = noise(1, 3, 5, 1)
    # Of four ordered pairs, two are of a channel with itself, at distance 0.
    distance = cosine_distances(torch.cat([one, -one], 3)).item()
    assert distance == pytest.approx((0 + 1 + 1 + 0) / 4)


def test_a_channel_that_is_dead_is_unlike_any_other() -> None:
    x = noise(1, 3, 5, 2)
    x[..., 1] = 0  # its cosine with anything is 0, and not NaN
    assert cosine_distances(x).item() == pytest.approx((0 + 0.5 + 0.5 + 0.5) / 4)


def test_an_image_is_as_diverse_however_bright() -> None:
    x = noise(2, 3, 5, 4)
    before = cosine_distances(x).tolist()
    x[1] *= 1024  # exact in floating point
    assert cosine_distances(x).tolist() == before


def test_numbers_of_half_precision_are_summed_in_double() -> None:
    x = noise(1, 9, 7, 5).bfloat16() + 3
    assert cosine_distances(x).item() == pytest.approx(by_definition(x[0].double()), abs=1e-12)


def backbone_of(model: str, channels: int = 3, response: str = "grn") -> Backbone:
    """In evaluation mode and float64, with parameters that leave no part without effect."""
    backbone = fcmae.create_autoencoder(
        model, in_channels=channels, stem_stride=1, response=response
    ).encoder
    generator = torch.Generator().manual_seed(1)
    for parameter in backbone.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return backbone.double().eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "channels", "tensor"),
    [
        *itertools.product(["convnextv2_atto"], [1], ["block", "branch", "grn", "widened"]),
        *itertools.product(["convnext_atto"], [13], ["block", "branch", "widened"]),
    ],
)
def test_each_tensor_is_that_of_the_blocks_definition(
    model: str, channels: int, tensor: str
) -> None:
    backbone = backbone_of(model, channels)
    images = noise(2, channels, 32, 48)
    expected: dict[str, float] = {}
    x = images.permute(0, 2, 3, 1)
    for stage, downsample in enumerate(backbone.downsample_layers):
        x = downsample(x)
        for number, block in enumerate(backbone.stages[stage].children()):
            inner = block.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            inner = torch.nn.functional.gelu(block.pwconv1(block.norm(inner)))
            widened = inner if block.grn is None else block.grn(inner, None)
            branch = block.pwconv2(widened)
            branch = branch if block.gamma is None else branch * block.gamma
            x = x + branch
            wanted = {"block": x, "branch": branch, "grn": widened, "widened": widened}[tensor]
            expected[f"stages.{stage}.{number}"] = cosine_distances(wanted).mean().item()
    found = diversity(backbone, images, tensor)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-9)


def test_v1_has_no_grn_to_measure() -> None:
    with pytest.raises(ValueError, match=r"tensor 'grn': convnext_atto has no GRN; 'widened'"):
        diversity(backbone_of("convnext_atto"), noise(1, 3, 32, 32), "grn")


def test_v2_without_grn_has_none_to_measure() -> None:
    backbone = backbone_of("convnextv2_atto", response="none")
    with pytest.raises(ValueError, match=r"convnextv2_atto with response none has no GRN"):
        diversity(backbone, noise(1, 3, 32, 32), "grn")


def test_what_stands_in_the_place_of_grn_is_measured_as_grn() -> None:
    backbone = backbone_of("convnextv2_atto", response="layer")
    images = noise(1, 3, 32, 32)
    assert diversity(backbone, images, "grn") == diversity(backbone, images, "widened")


def test_an_unknown_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown tensor 'branches': did you mean 'branch'"):
        diversity(backbone_of("convnext_atto"), noise(1, 3, 32, 32), "branches")


@pytest.mark.parametrize("tensor", ["branch", "grn", "widened"])
def test_nothing_listens_any_more_afterwards(tensor: str) -> None:
    backbone = backbone_of("convnextv2_atto")
    images = noise(1, 3, 32, 32)
    before = backbone.features(images)[-1]
    diversity(backbone, images, tensor)
    hooks = [part._forward_hooks or part._forward_pre_hooks for part in backbone.modules()]
    assert not any(hooks)
    assert torch.equal(backbone.features(images)[-1], before)


def test_what_fails_leaves_no_listener_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(x: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("fcmae.probes.blocks.cosine_distances", fail)
    backbone = backbone_of("convnextv2_atto")
    with pytest.raises(RuntimeError, match="out of memory"):
        diversity(backbone, noise(1, 3, 32, 32), "grn")
    assert not any(part._forward_hooks for part in backbone.modules())


def test_the_usual_way_through_the_model_gives_the_same() -> None:
    backbone = backbone_of("convnextv2_atto", 1).float()
    images = noise(1, 1, 32, 48).float()
    seen: dict[str, float] = {}

    def note(name: str) -> Callable[[object, object, Tensor], None]:
        return lambda _layer, _input, x: seen.update({name: cosine_distances(x).mean().item()})

    for stage, blocks in enumerate(backbone.stages):
        for number, block in enumerate(blocks):
            block.register_forward_hook(note(f"stages.{stage}.{number}"))
    backbone.features(images)
    assert len(seen) == 2 + 2 + 6 + 2
    assert diversity(backbone, images) == pytest.approx(seen, rel=1e-6)


@pytest.mark.slow
def test_blocks_that_are_compiled_are_heard_too() -> None:
    backbone = backbone_of("convnextv2_atto").float()
    images = noise(1, 3, 32, 32).float()
    expected = diversity(backbone, images)
    compile_blocks(backbone)
    backbone.features(images)
    assert diversity(backbone, images) == pytest.approx(expected, rel=1e-4)
