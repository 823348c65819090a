"""Conversion of a trained encoder layer by layer, as far as a bound on its errors allows."""

from inattention.conversion.frontier.convert import convert_in_stages

__all__ = ["convert_in_stages"]
