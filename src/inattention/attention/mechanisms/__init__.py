"""The attention mechanisms, one a file; `inattention.attention.registry` imports every module of this package."""
