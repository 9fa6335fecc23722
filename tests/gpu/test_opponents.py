import contextlib
import dataclasses
import json

import pytest
import torch

from fcmae.benchmarks.pretraining.workload import Case, Workload
from fcmae.ops import kernels
from gpu import opponents
from gpu.opponents import (
    OPPONENTS,
    plain_operators,
    time_opponent,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),  # the compiler looks
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the compiler's own affair
]

CPU = torch.device("cpu")
CASE = Case("convnextv2_atto", 64, 2, 0.5, "fp32")
FIELDS = dataclasses.asdict(CASE)
COMPILED = [name for name in OPPONENTS if name.endswith("compiled")]


def test_plain_operators_are_chosen_for_the_time() -> None:
    x = torch.zeros(1, 1, 1, 1)

    def chosen() -> list[object]:
        return [kernels.convolution_kernels(x, None), kernels.feed_forward_kernels(x, None)]

    usual, suited = chosen(), dict(kernels.SUITED)
    with plain_operators(CPU):
        assert chosen() == [None, None]
    assert chosen() == usual
    with contextlib.suppress(KeyError), plain_operators(CPU):
        raise KeyError
    assert suited == kernels.SUITED
    with plain_operators(torch.device("mps")):  # which has no kernels
        assert suited == kernels.SUITED
    assert suited == kernels.SUITED


@pytest.mark.parametrize("opponent", OPPONENTS)
def test_a_row_has_both_and_how_far_they_are_apart(opponent: str) -> None:
    with torch.compiler.set_stance(force_backend="eager"):
        (row,) = time_opponent(CPU, opponent=opponent, **FIELDS, repeats=2, calls=2)
    assert json.loads(json.dumps(row)) == row
    assert row.items() >= {**dataclasses.asdict(CASE), "opponent": opponent, "calls": 2}.items()
    assert {way: len(seconds) for way, seconds in row["seconds"].items()} == {
        "tiled": 2, "opponent": 2
    }  # fmt: skip
    assert row["images_per_second"].keys() == {"tiled", "opponent"}
    (speedup,) = row["speedup"].values()
    (span,) = row["speedup_range"].values()
    assert span[0] <= speedup <= span[1]
    assert row["first_step"] > 0
    assert row["memory"] is None
    if opponent.startswith("timm"):
        assert (row["difference"], row["agrees"]) == (None, None)
    else:
        assert row["difference"].keys() == {"loss", "gradient"}
        assert row["agrees"] is True


@pytest.mark.slow  # compiles C++
@pytest.mark.parametrize("opponent", COMPILED)
def test_what_pytorch_compiles_agrees(opponent: str) -> None:
    (row,) = time_opponent(CPU, opponent=opponent, **FIELDS, repeats=1, calls=1)
    assert row["agrees"] is not False


def test_compiled_or_not_is_nothing_to_the_others() -> None:
    with torch.compiler.set_stance(force_backend="eager"):
        workload = Workload(CASE, CPU)
        rival = opponents._BUILDERS["tiled, compiled"](workload)
        blocks = [module for module in workload.autoencoder.modules() if hasattr(module, "dwconv")]
        assert all(block._compiled_call_impl is None for block in blocks)
    before = [value.clone() for value in workload.autoencoder.parameters()]
    with torch.compiler.set_stance("force_eager"):
        rival.step(workload.fresh_mask())
    assert all(map(torch.equal, before, workload.autoencoder.parameters()))
    assert all(value.grad is None for value in workload.autoencoder.parameters())
    (group,) = rival.optimizer.param_groups
    assert not any(map(torch.equal, before, group["params"]))  # it trains its own


def test_what_does_not_agree_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(workload: Workload) -> opponents._Opponent:
        return opponents._Opponent(
            lambda mask: 1.01 * workload.loss(mask, "masked"), workload.optimizer
        )

    monkeypatch.setitem(opponents._BUILDERS, "gathered tokens", wrong)
    (row,) = time_opponent(CPU, opponent="gathered tokens", **FIELDS, repeats=1, calls=1)
    assert row["agrees"] is False
    assert row["difference"]["loss"] == pytest.approx(0.01, rel=1e-3)
    assert row["speedup"]


def test_an_unknown_opponent_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="did you mean 'masked, compiled'"):
        next(time_opponent(CPU, opponent="masked, compile", **FIELDS))


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # to be read, but no reason to know nothing else
@pytest.mark.parametrize("opponent", OPPONENTS)
def test_on_a_gpu_there_is_memory_too(opponent: str) -> None:
    stance = contextlib.nullcontext()
    if opponent in COMPILED:  # what Inductor makes takes minutes and is timed elsewhere
        stance = torch.compiler.set_stance(force_backend="aot_eager")
    fields = {**FIELDS, "batch_size": 8, "image_size": 96, "precision": "bf16"}
    with stance:
        cuda = torch.device("cuda")
        (row,) = time_opponent(cuda, opponent=opponent, **fields, repeats=1, calls=2)
    assert min(row["memory"].values()) > 4 * 3.4e6  # the gradients alone
    if row["difference"] is not None:
        assert max(row["difference"].values()) < 0.1
