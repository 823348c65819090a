"""Measurements of a converted encoder and its teacher: word errors, hidden states, probes and times."""
