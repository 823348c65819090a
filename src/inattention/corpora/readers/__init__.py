"""Readers of published corpora and of folders of recordings, one a file or folder."""
