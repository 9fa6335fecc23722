"""What the paper's tables say, as values; and what they leave out."""

from fcmae.recipes.ade20k import ADE20K, ADE20K_UNSTATED
from fcmae.recipes.coco import COCO, COCO_UNSTATED
from fcmae.recipes.finetune import TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6
from fcmae.recipes.lookup import layer_decay_kind
from fcmae.recipes.moco_v3 import MOCO_V3
from fcmae.recipes.pretrain import TABLE_1
from fcmae.recipes.unstated import FINETUNING, PRETRAINING

__all__ = [
    "ADE20K",
    "ADE20K_UNSTATED",
    "COCO",
    "COCO_UNSTATED",
    "FINETUNING",
    "MOCO_V3",
    "PRETRAINING",
    "TABLE_1",
    "TABLE_2",
    "TABLE_3",
    "TABLE_4",
    "TABLE_5",
    "TABLE_6",
    "layer_decay_kind",
]
