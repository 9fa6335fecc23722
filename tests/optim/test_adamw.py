"""The optimiser's settings, as far as they change what it computes."""

import pytest
import torch
from torch import nn

from fcmae.optim import adamw, parameter_groups


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
