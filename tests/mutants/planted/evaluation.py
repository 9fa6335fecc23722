"""What can go wrong in evaluation, prediction and embedding without any error."""

from mutants.mistake import Mistake

MISTAKES: tuple[Mistake, ...] = ()
