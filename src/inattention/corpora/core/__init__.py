"""Prepared corpora: their format, what was found and used, reading, writing and splitting them."""
