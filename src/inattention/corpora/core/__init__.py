"""Prepared corpora: reading, writing, splitting, validating and describing them."""
