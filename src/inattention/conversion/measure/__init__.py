"""What a conversion keeps: word errors, hidden states, probes and times of a converted encoder and its teacher."""
