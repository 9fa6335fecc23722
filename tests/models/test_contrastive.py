"""MoCo v3 against a transcription of its paper's algorithm 1, in one process and in two."""

import copy
import math
import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from random_weights import randomise, shallow_encoder
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from two_processes import run_pair, take_part

from fcmae.models.contrastive import (
    MomentumContrast,
    contrast,
    create_contrast,
    momentum_at,
)
from fcmae.models.perceptron import BatchNorm
from fcmae.storage.atomic import save_tensors
from fcmae.training.devices import start_runtime

IMAGES, CHANNELS = 6, 2


def small(model: str = "convnextv2_atto", temperature: float = 0.3) -> MomentumContrast:
    """Few blocks and narrow perceptrons, in double precision; keys are not what queries are."""
    encoder = shallow_encoder(model, in_channels=CHANNELS, stem_stride=1)
    module = MomentumContrast(
        encoder, hidden_width=10, projection_width=5, temperature=temperature
    ).double()
    for seed, part in enumerate((module.query.projector, module.predictor, module.key)):
        randomise(part, seed)
    return module


def views(count: int = IMAGES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(count, CHANNELS, 16, 24, generator=generator, dtype=torch.float64)
    return first, first.flip(3) + 0.1 * torch.randn(
        first.shape, generator=generator, dtype=torch.float64
    )


def by_layers(layers: nn.Sequential, x: Tensor) -> Tensor:
    """A perceptron from the paper's words: linear layers, BatchNorm after each, ReLU between."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    norms = [layer for layer in layers if isinstance(layer, BatchNorm)]
    for i, (weights, norm) in enumerate(zip(linear, norms, strict=True)):
        x = x @ weights.weight.T
        x = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
        if i < len(linear) - 1:
            x = (x * norm.weight + norm.bias).clamp(min=0)
    return x


def algorithm_1(module: MomentumContrast, x1: Tensor, x2: Tensor) -> Tensor:
    """The paper's, line by line, with the scale 2 tau of its section 5."""

    def encode(branch: nn.Module, x: Tensor) -> Tensor:
        pooled = branch.encoder.features(x)[-1].mean((2, 3))  # type: ignore[operator, union-attr]
        return by_layers(branch.projector, pooled)  # type: ignore[arg-type]

    def ctr(q: Tensor, k: Tensor) -> Tensor:
        losses = []
        for i in range(len(q)):
            similar = [F.cosine_similarity(q[i], key, dim=0) / module.temperature for key in k]
            losses.append(-similar[i] + torch.stack(similar).exp().sum().log())
        return 2 * module.temperature * torch.stack(losses).mean()

    q1 = by_layers(module.predictor, encode(module.query, x1))
    q2 = by_layers(module.predictor, encode(module.query, x2))
    k1, k2 = encode(module.key, x1).detach(), encode(module.key, x2).detach()
    return ctr(q1, k2) + ctr(q2, k1)


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
@pytest.mark.parametrize("count", [2, IMAGES])
def test_loss_and_gradient_are_those_of_algorithm_1(model: str, count: int) -> None:
    module, pair = small(model), views(count)
    trained = [p for p in module.parameters() if p.requires_grad]
    expected = algorithm_1(module, *pair)
    loss = module(*pair)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    for ours, theirs in zip(
        torch.autograd.grad(loss, trained), torch.autograd.grad(expected, trained), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_keys_get_no_gradient_and_queries_all() -> None:
    module = small()
    module(*views()).backward()
    assert not any(parameter.requires_grad for parameter in module.key.parameters())
    assert all(parameter.grad is None for parameter in module.key.parameters())
    online = [*module.query.parameters(), *module.predictor.parameters()]
    assert all(parameter.grad is not None for parameter in online)


def test_a_gradient_does_not_reach_keys_that_ask_for_one() -> None:
    queries, keys = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    contrast(queries, keys, 0.2).backward()
    assert queries.grad is not None
    assert keys.grad is None


def test_keys_begin_as_queries_and_follow_them() -> None:
    module = create_contrast(
        "convnextv2_atto", stem_stride=1, hidden_width=12, projection_width=4, in_channels=13
    )
    for key, query in zip(module.key.parameters(), module.query.parameters(), strict=True):
        assert torch.equal(key, query)
        assert key.data_ptr() != query.data_ptr()
    before = copy.deepcopy(module.key)
    randomise(module.query)
    module.follow(0.75)
    for key, query, old in zip(
        module.key.parameters(), module.query.parameters(), before.parameters(), strict=True
    ):
        assert torch.allclose(key, 0.75 * old + 0.25 * query, atol=1e-6)


def test_a_pass_leaves_nothing_behind() -> None:
    module = small()
    before = copy.deepcopy(module.state_dict())
    module(*views())
    after = module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_momentum_rises_by_half_a_cosine() -> None:
    assert momentum_at(0, base=0.99, steps=10) == pytest.approx(0.99)
    assert momentum_at(5, base=0.99, steps=10) == pytest.approx(0.995)
    assert momentum_at(10, base=0.99, steps=10) == 1
    assert momentum_at(1, base=0.6, steps=4) == pytest.approx(1 - 0.2 * (1 + math.cos(math.pi / 4)))


def test_by_chance_the_loss_is_that_of_a_guess() -> None:
    keys = torch.eye(7)
    same = torch.ones(7, 7)  # as near to every key
    assert contrast(same, keys, 0.2).item() == pytest.approx(0.4 * math.log(7))
    assert contrast(keys, keys, 0.01).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_is_computed_widely_under_autocast() -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(9, 4), torch.randn(9, 4)
    expected = contrast(queries, keys, 0.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(contrast(queries, keys, 0.2), expected)
        low = contrast(queries.bfloat16(), keys.bfloat16(), 0.2)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(expected.item(), abs=0.02)


def test_a_frozen_stem_stays_as_it_was_drawn() -> None:
    module = create_contrast("convnextv2_atto", stem_stride=1, hidden_width=8, frozen_stem=True)
    fixed = {name for name, p in module.query.named_parameters() if not p.requires_grad}
    assert fixed == {f"encoder.downsample_layers.0.{name}" for name in
                     ("0.weight", "0.bias", "1.weight", "1.bias")}  # fmt: skip


def test_recomputed_blocks_change_nothing() -> None:
    one, other = small(), small()
    other.query.encoder.checkpoint_blocks = True
    for module in (one, other):
        module(*views()).backward()
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert (ours.grad is None and theirs.grad is None) or torch.equal(ours.grad, theirs.grad)


# Several processes


def _step(module: nn.Module, *pair: Tensor) -> dict[str, Tensor]:
    """The loss and the gradients of a step."""
    loss = module(*pair)
    loss.backward()
    gradients = {
        name.removeprefix("module."): parameter.grad
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    return {"loss": loss.detach()} | gradients


def _rank(rank: int, port: int, out: Path) -> None:
    take_part(rank, port)
    with start_runtime(torch.device("cpu"), "fp32"):
        mine = slice(rank * IMAGES // 2, (rank + 1) * IMAGES // 2)
        module = DistributedDataParallel(small())
        save_tensors(out / f"{rank}.safetensors", _step(module, *(view[mine] for view in views())))


@pytest.mark.slow  # two interpreters import torch
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    run_pair(context, _rank, tmp_path)
    one, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))

    alone = _step(small(), *views())
    losses = [part.pop("loss").item() for part in (one, other)]
    assert sum(losses) / 2 == pytest.approx(alone.pop("loss").item(), rel=1e-10)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)  # each of its own images
    for part in (one, other):
        assert part.keys() == alone.keys()
        for name, expected in alone.items():
            assert torch.allclose(part[name], expected, rtol=1e-7, atol=1e-9), name
