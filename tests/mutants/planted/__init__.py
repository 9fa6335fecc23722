"""The mistakes, by what goes wrong: one file for each."""

from mutants.mistake import Mistake
from mutants.planted import (
    contrastive,
    engine,
    evaluation,
    finetuning,
    pretraining,
    probe,
    resuming,
    shared,
    studies,
)

AREAS = (pretraining, finetuning, contrastive, evaluation, probe, studies, engine, resuming, shared)
PLANTED: tuple[Mistake, ...] = tuple(mistake for area in AREAS for mistake in area.MISTAKES)
