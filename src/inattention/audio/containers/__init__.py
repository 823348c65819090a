"""Lengths of audio in its containers, where libsndfile does not look or stops too early."""
