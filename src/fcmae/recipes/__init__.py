"""What the paper's tables say, as values; and what they leave out."""

from fcmae.recipes.finetune import TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6
from fcmae.recipes.pretrain import TABLE_1
from fcmae.recipes.unstated import PRETRAINING

__all__ = ["PRETRAINING", "TABLE_1", "TABLE_2", "TABLE_3", "TABLE_4", "TABLE_5", "TABLE_6"]
