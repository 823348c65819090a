"""Attention mechanisms, which make weights over time from a layer's input. One mechanism a file.

Every module of `inattention.attention.mechanisms` is imported once and registers its mechanism, and so does every
installed plug-in with an entry point in the group ``inattention.mechanisms``. Adding a mechanism takes one new file.

Imports inside this package run downwards: rows and mechanisms > registry > ops > base.
"""

# The folder has the name of the public function below: imported first, it does not replace it later.
import inattention.attention.mechanisms  # noqa: F401 isort: skip
from inattention.attention.base import AttentionMechanism, Card, Reach
from inattention.attention.registry import build, card, digests, mechanisms, options_of, register, without_files

__all__ = [
    "AttentionMechanism",
    "Card",
    "Reach",
    "build",
    "card",
    "digests",
    "mechanisms",
    "options_of",
    "register",
    "without_files",
]
