"""The version of the code, also that of the distribution (pyproject.toml reads it from here)."""

__version__ = "0.3.0"
