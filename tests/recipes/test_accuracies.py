"""Every accuracy of Tables 7 and 8, from a transcription of their rows."""

from fcmae.recipes.accuracies import TABLE_7, TABLE_7_V1_FCMAE, TABLE_7_V2_SUPERVISED, TABLE_8
from fcmae.sizes import SIZES

LETTERS = {
    "A": "atto", "F": "femto", "P": "pico", "N": "nano", "T": "tiny", "B": "base", "L": "large",
    "XL": "xlarge", "H": "huge",
}  # fmt: skip

ROWS_7 = """
V1-A Supervised 75.7
V2-A Supervised 76.2 (+0.5)
V2-A FCMAE 76.7 (+1.0)
V1-F Supervised 77.5
V2-F Supervised 78.0 (+0.5)
V2-F FCMAE 78.5 (+1.0)
V1-P Supervised 79.5
V2-P Supervised 79.7 (+0.2)
V2-P FCMAE 80.3 (+0.8)
V1-N Supervised 80.8
V2-N Supervised 81.2 (+0.4)
V2-N FCMAE 81.9 (+1.1)
V1-T Supervised 82.1
V2-T Supervised 82.5 (+0.4)
V2-T FCMAE 83.0 (+0.9)
V1-B Supervised 83.8
V1-B FCMAE 83.7
V2-B Supervised 84.3 (+0.5)
V2-B FCMAE 84.9 (+1.1)
V1-L Supervised 84.3
V1-L FCMAE 84.4
V2-L Supervised 84.5 (+0.2)
V2-L FCMAE 85.8 (+1.5)
V2-H FCMAE 86.3
"""
ROWS_8 = """
V2-N 224 82.1
V2-N 384 83.4
V1-T 224 82.9
V2-T 224 83.9 (+1.0)
V1-T 384 84.1
V2-T 384 85.1 (+1.0)
V1-B 224 85.8
V2-B 224 86.8 (+1.0)
V1-B 384 86.8
V2-B 384 87.7 (+0.9)
V1-L 224 86.6
V2-L 224 87.3 (+0.7)
V1-L 384 87.5
V2-L 384 88.2 (+0.7)
V1-XL 224 87.0
V1-XL 384 87.8
V2-H 384 88.7
V2-H 512 88.9
"""


def name(backbone: str) -> str:
    version, letter = backbone.split("-")
    return f"convnext{'v2' if version == 'V2' else ''}_{LETTERS[letter]}"


def test_table_7() -> None:
    expected: dict[str, dict[str, float]] = {"main": {}, "v2 supervised": {}, "v1 fcmae": {}}
    for row in ROWS_7.split("\n")[1:-1]:
        backbone, method, accuracy, *_ = row.split()
        kind = {("V2", "Supervised"): "v2 supervised", ("V1", "FCMAE"): "v1 fcmae"}.get(
            (backbone[:2], method), "main"
        )
        expected[kind][name(backbone)] = float(accuracy)
    assert expected["main"] == TABLE_7
    assert expected["v2 supervised"] == TABLE_7_V2_SUPERVISED
    assert expected["v1 fcmae"] == TABLE_7_V1_FCMAE
    assert TABLE_7.keys() <= SIZES.keys()


def test_the_gains_that_table_7_prints_are_those_of_its_accuracies() -> None:
    for row in ROWS_7.split("\n")[1:-1]:
        backbone, _, accuracy, *gain = row.split()
        if gain:
            over = TABLE_7[name(backbone.replace("V2", "V1"))]
            assert round(float(accuracy) - over, 1) == float(gain[0].strip("()"))


def test_table_8() -> None:
    expected = {}
    for row in ROWS_8.split("\n")[1:-1]:
        backbone, pixels, accuracy, *_ = row.split()
        expected[name(backbone), int(pixels)] = float(accuracy)
    assert expected == TABLE_8
    assert {model for model, _ in TABLE_8} <= SIZES.keys()
