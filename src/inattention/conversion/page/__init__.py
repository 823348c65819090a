"""The page of a conversion: what was replaced, what it cost, and what was measured, in one file."""
