"""Checks of a prepared corpus: what it holds, how it sounds, and whether all of it can be read."""
