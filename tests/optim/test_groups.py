import pytest
import torch
from torch import nn

from fcmae.models.autoencoder import create_autoencoder
from fcmae.models.classifier import create_model
from fcmae.optim import adamw, layer_scales, parameter_groups

MATRICES = {"dwconv.weight", "pwconv1.weight", "pwconv2.weight"}


def autoencoder(model: str) -> nn.Module:
    with torch.device("meta"):
        return create_autoencoder(model)


def decayed(model: nn.Module, exempt: str) -> set[str]:
    groups = parameter_groups(model, 0.05, exempt=exempt)
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    return set(groups[0]["names"])


def weights(model: str) -> set[str]:
    """Weights of convolutions and linear layers, in the words of the architecture."""
    grown = [2, 2, 6, 2]  # blocks of Atto's stages
    blocks = [f"encoder.stages.{s}.{b}" for s, depth in enumerate(grown) for b in range(depth)]
    names = {f"{block}.{name}" for block in [*blocks, "decoder.blocks.0"] for name in MATRICES}
    names |= {"encoder.downsample_layers.0.0.weight", "decoder.proj.weight", "decoder.pred.weight"}
    return names | {f"encoder.downsample_layers.{stage}.1.weight" for stage in (1, 2, 3)}


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_fixed_decays_the_weights_of_convolutions_and_linear_layers_alone(model: str) -> None:
    assert decayed(autoencoder(model), "fixed") == weights(model)


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_paper_code_decays_grn_and_the_mask_token_as_well(model: str) -> None:
    network = autoencoder(model)
    more = {name for name, _ in network.named_parameters() if ".grn." in name}
    assert len(more) == (26 if "v2" in model else 2)  # the decoder's block is V2 always
    assert decayed(network, "paper-code") == weights(model) | more | {"decoder.mask_token"}


def test_nothing_exempts_nothing() -> None:
    (group,) = parameter_groups(autoencoder("convnextv2_atto"), 0.05, exempt="nothing")
    assert group["weight_decay"] == 0.05
    assert group["names"] == [name for name, _ in autoencoder("convnextv2_atto").named_parameters()]


@pytest.mark.parametrize("exempt", ["fixed", "paper-code"])
def test_every_parameter_is_in_one_group_under_its_name(exempt: str) -> None:
    model = autoencoder("convnextv2_atto")
    named = {}
    for group in parameter_groups(model, 0.05, exempt=exempt):
        assert len(group["params"]) == len(group["names"])
        assert not named.keys() & set(group["names"])
        named |= dict(zip(group["names"], group["params"], strict=True))
    expected = dict(model.named_parameters())
    assert named.keys() == expected.keys()
    assert all(named[name] is value for name, value in expected.items())


def test_frozen_parameters_are_left_out() -> None:
    model = autoencoder("convnextv2_atto")
    model.encoder.requires_grad_(False)
    names = {name for group in parameter_groups(model, 0.05) for name in group["names"]}
    assert names == {name for name, _ in model.named_parameters() if name.startswith("decoder.")}


def test_groups_go_into_the_optimiser_and_only_the_first_decays() -> None:
    layer = nn.Linear(3, 3)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    optimizer = torch.optim.AdamW(parameter_groups(layer, 0.5), lr=0.1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before["weight"] * 0.95)
    assert torch.equal(layer.bias, before["bias"])


def test_another_exemption_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown exempt 'paper': did you mean 'paper-code'\?"):
        parameter_groups(nn.Linear(1, 1), 0.05, exempt="paper")


def classifier(model: str) -> nn.Module:
    with torch.device("meta"):
        return create_model(model, num_classes=13, in_channels=1)


@pytest.mark.parametrize("model", ["convnextv2_atto", "convnext_atto"])
def test_fixed_is_the_rule_of_the_authors_fine_tuning(model: str) -> None:
    network = classifier(model)
    endings = (".bias", ".gamma", ".beta")
    expected = {n for n, p in network.named_parameters() if p.ndim > 1 and not n.endswith(endings)}
    assert decayed(network, "fixed") == expected


@pytest.mark.parametrize(
    ("model", "kind", "layers"),
    [("convnextv2_atto", "layer", 13), ("convnextv2_base", "group", 14)],
)
def test_each_scale_has_a_group_that_decays_and_one_that_does_not(
    model: str, kind: str, layers: int
) -> None:
    scales = layer_scales(model, 0.9, kind)
    network = classifier(model)
    groups = parameter_groups(network, 0.3, scales=scales)
    expected = sorted({*scales.values()})
    assert len(expected) == layers
    assert [group["scale"] for group in groups] == expected * 2
    assert [group["weight_decay"] for group in groups] == [0.3] * layers + [0.0] * layers
    parameters = dict(network.named_parameters())
    for group in groups:
        assert {scales[name] for name in group["names"]} == {group["scale"]}
        for name, parameter in zip(group["names"], group["params"], strict=True):
            assert parameter is parameters.pop(name)
            assert (group["weight_decay"] > 0) == (name in decayed(network, "fixed"))
    assert not parameters


def test_scales_of_one_change_no_membership() -> None:
    network = classifier("convnext_atto")
    plain = parameter_groups(network, 0.3)
    scaled = parameter_groups(network, 0.3, scales=layer_scales("convnext_atto", 1.0))
    assert [group["names"] for group in plain] == [group["names"] for group in scaled]
    assert all("scale" not in group for group in plain)


def test_a_parameter_without_a_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scales has no multiplier for 'bias'"):
        parameter_groups(nn.Linear(1, 1), 0.05, scales={"weight": 0.5})


@pytest.mark.parametrize("momentum", [(0.9, 0.95), (0.0, 0.5)])
def test_a_step_is_that_of_the_formula(momentum: tuple[float, float]) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = adamw(parameter_groups(model, 0.3), momentum, torch.device("cpu"))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    gradients = [torch.randn(2, 4), torch.randn(2, 4)]  # of weight and bias, at both steps
    first, second = (torch.zeros(2, 4) for _ in range(2))
    expected = torch.cat([before["weight"], before["bias"][:, None]], 1)
    decay = torch.tensor([0.3, 0.3, 0.3, 0.0])
    for step, gradient in enumerate(gradients, 1):
        model.weight.grad, model.bias.grad = gradient[:, :3].clone(), gradient[:, 3].clone()
        optimizer.step()
        first = momentum[0] * first + (1 - momentum[0]) * gradient
        second = momentum[1] * second + (1 - momentum[1]) * gradient.square()
        mean, square = first / (1 - momentum[0] ** step), second / (1 - momentum[1] ** step)
        expected = expected * (1 - 0.1 * decay) - 0.1 * mean / (square.sqrt() + 1e-8)
    found = torch.cat([model.weight, model.bias[:, None]], 1)
    torch.testing.assert_close(found, expected)
