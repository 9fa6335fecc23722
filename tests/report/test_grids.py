"""A grid of pictures: their colours, and where they stand."""

import pytest
import torch

from fcmae.report.grids import colours, draw_grid


@pytest.mark.parametrize("channels", [1, 2, 3, 13])
def test_images_are_grey_or_coloured(channels: int) -> None:
    image = torch.linspace(0, 1, channels).view(-1, 1, 1).expand(channels, 2, 3)
    pixels = colours(image).pixels
    assert pixels.shape == (2, 3, 3)
    assert pixels[0, 0].tolist() == pytest.approx(
        [0, 0, 0] if channels < 3 else image[:3, 0, 0].tolist()
    )


def test_pictures_of_a_grid_do_not_overlap() -> None:
    wide, high = colours(torch.rand(3, 10, 30)), colours(torch.rand(3, 20, 10))
    figure = draw_grid([[wide, high], [wide, wide]], ["a", "b"], ["one", "x" * 99])
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 4
    for place, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1
        assert 0 <= box.y0 < box.y1 <= 1
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_where_there_is_no_picture_nothing_is_drawn() -> None:
    one = colours(torch.rand(3, 4, 4))
    figure = draw_grid([[one, None], [one, one]], ["a", "b"], ["one", "two"])
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 1, 1]
