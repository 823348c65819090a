"""Tables over many conversions of one teacher: the study's question put to a trained encoder."""
