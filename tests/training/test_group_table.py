"""A row for each learning rate, with every parameter counted once."""

import pytest

import fcmae
from fcmae.optim import layer_ids, layer_scales, parameter_groups
from fcmae.training.group_table import show_groups


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if len(line) == 5 and line[1][0].isdigit()]


def test_layers_have_their_rates_and_every_parameter_counts_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = fcmae.create_model("convnextv2_atto", num_classes=13)
    scales = layer_scales("convnextv2_atto", 0.9)
    show_groups(parameter_groups(model, 0.3, scales=scales), 1e-3, layer_ids("convnextv2_atto"))
    shown = rows(capsys)
    assert [row[0] for row in shown] == [str(layer) for layer in range(1, 14)]
    assert shown[0][1:3] == ["0.282", "0.000282"]
    assert shown[-1][1:3] == ["1", "0.001"]
    counted = sum(int(number.replace(",", "")) for row in shown for number in row[3:])
    assert counted == sum(parameter.numel() for parameter in model.parameters())


def test_one_rate_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    model = fcmae.create_autoencoder("convnextv2_atto", in_channels=1)
    show_groups(parameter_groups(model, 0.05), 2.4e-3)
    (row,) = rows(capsys)
    assert row[:3] == ["all", "1", "0.0024"]
