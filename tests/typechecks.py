"""The check behind every annotation in tests: beartype, taking a whole number where a float is asked for."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
