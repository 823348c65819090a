"""Features of a prepared corpus, computed once and read while training."""
