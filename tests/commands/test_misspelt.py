"""Options that are misspelt, or of another type, are found by the type checker of `make check`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PLANTED = """
import fcmae
from fcmae.commands.command import command
from fcmae.commands.evaluate import Evaluate
from fcmae.commands.finetune import Finetune
from fcmae.commands.pretrain import Pretrain

fcmae.pretrain(out="run", mask_ratoi=0.7)  # a keyword
fcmae.embed(weights="run", data="sample", out="a.npy", batch_size="many")  # a type
fcmae.finetune(out="run", stage="2k")  # a choice

def start(options: Pretrain, others: Finetune) -> float:
    others.batchsize  # a name, where it is used
    return options.mask_ratoi

accuracy: float = fcmae.evaluate(data="sample", weights="run").top_1
wrong: str = fcmae.evaluate(data="sample", weights="run").top_1  # what comes back
"""


@pytest.mark.slow  # all that the package imports is checked
def test_misspelt_options_are_found(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(PLANTED)
    arguments = ["--strict", "--cache-dir", str(tmp_path / "cache"), str(file)]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"planted\.py:(\d+): error: .*\[(.*)\]", result.stdout))
    lines = PLANTED.splitlines()
    expected = {
        "mask_ratoi=0.7": "call-arg",
        'batch_size="many"': "arg-type",
        'stage="2k"': "arg-type",
        "others.batchsize": "attr-defined",
        "options.mask_ratoi": "attr-defined",
        "wrong: str": "assignment",
    }
    numbers = {str(n): lines[n - 1] for n in range(1, len(lines) + 1)}
    assert len(found) == len(expected), result.stdout
    for words, kind in expected.items():
        (number,) = [n for n, line in numbers.items() if words in line]
        assert found[number] == kind
