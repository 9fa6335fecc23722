"""What the report of a fine-tuning run shows: accuracy, classes, confusions, mistakes."""

from fcmae.report.finetuning import classes, explanations, figures, words

__all__ = ["classes", "explanations", "figures", "words"]
