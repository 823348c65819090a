"""The attention mechanisms, one per file; `inattention.attention.registry` imports every module of this package."""
