import pytest
import torch
from random_weights import randomise

from fcmae.models.decoder import Decoder

CELLS = torch.tensor([[[1, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, 0]]]) > 0  # 2 and 1 visible


def decoder(depth: int = 1) -> Decoder:
    return randomise(Decoder(5, 12, width=8, depth=depth)).double()


def test_masked_cells_enter_as_the_token_and_visible_ones_as_their_projection() -> None:
    bare = decoder(depth=0)
    visible = torch.randn(3, 5, dtype=torch.float64)
    decoded = bare(visible, CELLS)
    assert torch.equal(decoded[CELLS], bare.mask_token.expand(9, 8))
    assert torch.equal(decoded[~CELLS], bare.proj(visible))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_block_sees_every_cell_of_its_image_and_of_no_other(depth: int) -> None:
    model = decoder(depth)
    visible = torch.randn(3, 5, dtype=torch.float64)
    before = model(visible, CELLS)
    visible[2] += 1  # of the second image
    after = model(visible, CELLS)
    assert torch.equal(after[0], before[0])
    assert (after[1] != before[1]).any(dim=-1).all()


@pytest.mark.parametrize("selection", [CELLS, ~CELLS, torch.ones_like(CELLS)])
def test_predicting_a_selection_is_selecting_from_the_prediction(selection: torch.Tensor) -> None:
    model = decoder()
    decoded = model(torch.randn(3, 5, dtype=torch.float64), CELLS)
    torch.testing.assert_close(model.predict(decoded[selection]), model.predict(decoded)[selection])


def test_its_grn_counts_masked_cells_too() -> None:
    model = decoder()
    visible = torch.randn(3, 5, dtype=torch.float64)
    block = model.blocks[0]
    x = model.mask_token.repeat(2, 2, 3, 1).masked_scatter(
        ~CELLS.unsqueeze(-1), model.proj(visible)
    )
    torch.testing.assert_close(model(visible, CELLS), block(x, None))


@pytest.mark.parametrize("image", [0, 1])
def test_an_image_with_nothing_visible_is_all_tokens(image: int) -> None:
    cells = CELLS.clone()
    cells[image] = True
    model = decoder()
    decoded = model(torch.randn(int((~cells).sum()), 5, dtype=torch.float64), cells)
    alone = model(torch.zeros(0, 5, dtype=torch.float64), torch.ones(1, 2, 3, dtype=torch.bool))
    torch.testing.assert_close(decoded[image], alone[0])


def test_fresh_weights_are_small_and_the_token_is_not_zero() -> None:
    torch.manual_seed(0)
    fresh = Decoder(320, 32 * 32 * 3)
    assert fresh.mask_token.std().item() == pytest.approx(0.02, rel=0.15)
    for layer in (fresh.proj, fresh.pred, fresh.blocks[0].dwconv, fresh.blocks[0].pwconv1):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert not layer.bias.any()
