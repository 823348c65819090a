"""Features of recordings of any length and rate, for a file or a folder."""
