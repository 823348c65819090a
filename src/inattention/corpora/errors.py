"""The error that everything about corpora raises."""


class CorpusError(ValueError):
    """A problem with a corpus; the message says what is wrong, where, and what to do."""
