"""Readers of published corpora and of folders of recordings, one per file or folder."""
