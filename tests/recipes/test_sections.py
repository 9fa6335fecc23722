import pytest

from fcmae.recipes.sections import cell_text, label
from fcmae.recipes.table import Erratum, by, sweep


@pytest.mark.parametrize(
    ("name", "cell", "text"),
    [
        ("base_learning_rate", 6.25e-3, "6.25e-3"),
        ("learning_rate", 2e-4 * 4, "8e-4"),
        ("minimum_learning_rate", 0.0, "0.0"),
        ("weight_decay", 1e-8, "1e-8"),
        ("weight_decay", by(F=0.05, APN=0.3), "0.05 (F), 0.3 (A/P/N)"),
        ("head_init", 0.001, "0.001"),
        ("ema", by(NT=0.9999, H=None), "0.9999 (N/T), None (H)"),
        ("drop_path", by(A=0.1, F=0.0, N=0.1), "0.1 (A), 0.0 (F), 0.1 (N)"),
        ("optimizer_momentum", (0.9, 0.999), "β1, β2 = 0.9, 0.999"),
        ("training_epochs", (800, 1600), "800 or 1600"),
        ("augmentation", ("RandAug", 9, 0.5), "RandAug (9, 0.5)"),
        ("learning_rate", sweep(1e-4, 2e-4), "{1e-4, 2e-4}"),
        ("resolution", (512, 2048), "512 × 2048"),
        ("scale_range", (0.1, 2.0), "[0.1, 2.0]"),
        ("training_iterations", 160_000, "160K"),
        ("warmup_iterations", 1500, "1500"),
        ("norm_pix", True, "yes"),
        ("ema_warmup", False, "no"),
        ("warmup_epochs", 0, "0"),
    ],
)
def test_cells_read_as_in_the_paper(name: str, cell: object, text: str) -> None:
    assert cell_text(name, cell) == text


def test_errata_read_as_printed_and_have_their_number() -> None:
    first, second = Erratum(1e-2, use=1e-3, because="a"), Erratum(2e-2, use=2e-3, because="b")
    cell = by(AB=second, C=first, D=0.5)
    assert cell_text("learning_rate", first) == "1e-2"
    shown = cell_text("learning_rate", cell, [first, second])
    assert shown == "2e-2 [2] (A/B), 1e-2 [1] (C), 5e-1 (D)"


def test_labels_are_words() -> None:
    assert label("layer_wise_lr_decay") == "layer-wise lr decay"
    assert label("head_init") == "head init"
