"""Word errors of transcripts, utterance by utterance, and their comparison by the paired test."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from inattention.comparison import Difference, PairedBootstrap, UtteranceCounts
from inattention.conversion.measure.transcripts import Transcript

WORDS = "words"


class WordCounts(UtteranceCounts):
    """Correct words of each utterance: all words less the errors, below 0 where words were inserted.

    Its accuracy is 1 less the word error rate.
    """

    def check_range(self, utterance: str, correct: int, items: int) -> None:
        """Insertions may outnumber the words, so only the upper end is checked."""
        if correct > items:
            raise ValueError(f"{utterance!r}: {correct} of {items} words are correct")


@dataclass(frozen=True)
class WordErrors:
    """Word errors of one model.

    Attributes:
        utterances: ids.
        errors: substitutions, deletions and insertions of each.
        words: words of each reference.
        looped: whether the transcript of each did not end.
    """

    utterances: tuple[str, ...]
    errors: tuple[int, ...]
    words: tuple[int, ...]
    looped: tuple[bool, ...]

    @property
    def loops(self) -> int:
        """Number of transcripts that did not end."""
        return sum(self.looped)

    @property
    def rate(self) -> float:
        """Word error rate."""
        return sum(self.errors) / max(1, sum(self.words))

    def only(self, utterances: Collection[str]) -> "WordErrors":
        """Return the word errors of some of the utterances."""
        kept = [place for place, it in enumerate(self.utterances) if it in utterances]
        return WordErrors(
            tuple(self.utterances[it] for it in kept),
            tuple(self.errors[it] for it in kept),
            tuple(self.words[it] for it in kept),
            tuple(self.looped[it] for it in kept),
        )

    @property
    def counts(self) -> WordCounts:
        """Counts for the paired test."""
        correct = tuple(words - errors for words, errors in zip(self.words, self.errors, strict=True))
        return WordCounts(self.utterances, correct, self.words)


def normaliser(language: str) -> Callable[[str], str]:
    """Return Whisper's text normaliser: of English, or the basic one for all other languages."""
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    if language == "en":
        return lambda text: EnglishTextNormalizer({})(text).strip()
    return lambda text: BasicTextNormalizer()(text).strip()


def word_errors(found: Sequence[Transcript], references: Mapping[str, str], language: str = "en") -> WordErrors:
    """Count the word errors of transcripts.

    Args:
        found: transcripts.
        references: text of each utterance; those without words after normalisation are left out.
        language: language of the speech.
    """
    import jiwer

    normal = normaliser(language)
    kept, errors, words, looped = [], [], [], []
    for transcript in found:
        reference = normal(references.get(transcript.utterance, ""))
        if not reference:
            continue
        output = jiwer.process_words(reference, normal(transcript.text))
        kept.append(transcript.utterance)
        errors.append(output.substitutions + output.deletions + output.insertions)
        words.append(len(reference.split()))
        looped.append(transcript.loop)
    return WordErrors(tuple(kept), tuple(errors), tuple(words), tuple(looped))


def rate_difference(student: WordErrors, teacher: WordErrors) -> Difference | None:
    """Return the student's word error rate less the teacher's, with a 95 % interval paired over utterances.

    None without words.
    """
    if not student.utterances or student.utterances != teacher.utterances:
        return None
    counts = {("student", 0): {WORDS: teacher.counts}, ("teacher", 0): {WORDS: student.counts}}
    # Accuracies have the opposite sign of error rates, so the two sides change places.
    return PairedBootstrap(counts, deterministic=("student", "teacher")).difference(["student"], ["teacher"], [WORDS])
