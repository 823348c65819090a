"""Attention mechanisms: what turns a layer's input into weights over time. One mechanism a file.

Every module of `inattention.attention.mechanisms` is imported once and registers what it holds, and so does every
plug-in that is installed with an entry point in the group ``inattention.mechanisms``: adding a mechanism touches one
new file.
"""

# The folder has the name of the public function below: imported first, it does not take its place later.
import inattention.attention.mechanisms  # noqa: F401 isort: skip
from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.registry import build, card, digests, mechanisms, options_of, register, without_files

__all__ = [
    "AttentionMechanism",
    "Card",
    "build",
    "card",
    "digests",
    "mechanisms",
    "options_of",
    "register",
    "without_files",
]
