"""What a planted mistake is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """Words of the code that are replaced by wrong ones, and the tests that should notice."""

    file: str  # relative to src/fcmae
    words: str  # occur exactly once in the file
    replacement: str  # still Python that can be imported
    meaning: str  # what is wrong then, as one plain sentence
    tests: tuple[str, ...]  # files or single tests, as pytest takes them, from the root of the tree
