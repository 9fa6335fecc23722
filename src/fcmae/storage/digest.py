"""Fingerprints: whether something that is stored was made of the same things."""

import hashlib
import os
from collections.abc import Iterable


def digest(pieces: Iterable[bytes]) -> str:
    """Of bytes, wherever they are cut into pieces."""
    hasher = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def digest_of_names(names: Iterable[str]) -> str:
    """Of a list of names in its order; SHA-256, as the plans of stored runs have it."""
    return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()
