"""The page docs/recipes.md: `python -m fcmae.recipes.page docs/recipes.md` writes it."""

import sys
from pathlib import Path

from fcmae.recipes.ade20k import ADE20K, ADE20K_UNSTATED
from fcmae.recipes.coco import COCO, COCO_UNSTATED
from fcmae.recipes.finetune import STAGES
from fcmae.recipes.moco_v3 import MOCO_V3
from fcmae.recipes.pretrain import TABLE_1
from fcmae.recipes.sections import Section, settings_section, table_section
from fcmae.recipes.show import V1
from fcmae.recipes.unstated import FINETUNING, PRETRAINING

HEAD = f"""\
<!-- Generated from src/fcmae/recipes: `make docs` writes it again, and a test compares. -->

# Recipes

The settings of the ConvNeXt V2 paper (supplement of arXiv:2301.00808), as `fcmae.recipes` has them:
rows, their order and their cells are the paper's. `fcmae recipe show` prints them in a terminal.
MoCo v3's (arXiv:2104.02057), which the paper compares with, is that of `--method moco-v3`.

- Letters are sizes: A Atto, F Femto, P Pico, N Nano, T Tiny, B Base, L Large, H Huge.
- {V1}
  Small and XLarge, which V2 does not have, have none.
- A cell with a number in brackets is printed so in the paper and explained below its table.
- Values in braces are swept: the paper takes the best.
- "Leaves out" heads what a run needs and the paper's table does not say, with its source. The
  authors' code is their PyTorch release of ConvNeXt V2; V1's is that of ConvNeXt.
"""


def recipes_page() -> str:
    """The whole page, Markdown."""
    sections = [
        table_section(TABLE_1),
        settings_section("What Table 1 leaves out", PRETRAINING),
        settings_section("MoCo v3, which appendix D compares with: pre-training", MOCO_V3),
        *(table_section(table) for tables in STAGES.values() for table in tables),
        settings_section("What Tables 2-6 leave out", FINETUNING),
        settings_section("Section A.3: detection and instance segmentation on COCO", COCO),
        settings_section("What A.3 leaves out", COCO_UNSTATED),
        settings_section("Section A.4: semantic segmentation on ADE20K", ADE20K),
        settings_section("What A.4 leaves out", ADE20K_UNSTATED),
    ]
    return "\n".join([HEAD, *map(_markdown, sections)])


def _markdown(section: Section) -> str:
    heads = ("config", "value", "what it is; source")[: len(section.rows[0])]
    rows = [heads, ("---",) * len(heads), *section.rows]
    lines = [f"## {section.title}", "", *(f"| {' | '.join(row)} |" for row in rows)]
    if section.notes:
        lines += ["", *(f"- {note}" for note in section.notes)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(recipes_page(), encoding="utf-8")
