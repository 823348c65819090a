"""The process pool of corpora, and the loop that its workers run."""
