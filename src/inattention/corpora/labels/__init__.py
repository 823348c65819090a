"""Phone labels: one file per format, and forced alignment of texts."""
