"""Extraction of features from all recordings of a folder."""
