"""Rows of the table: mean over seeds, and differences from the teacher and from kept query-key attention."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from inattention.comparison import MARKS, Difference, PairedBootstrap, mark_of
from inattention.conversion.table.records import TEACHER, ConversionRecord

KEPT = "qk"
LARGEST = "toeplitz@table"  # the row whose layers are replaced one after the other
LENGTHS = ("own", "30")
TIMED = (5, 30)
PROBES = {"speakers": "speaker-utterance", "phones": "phone-1-hidden"}
HEADER = (
    "row", "seeds", "replaced layers", "relative error", "words changed (own)", "loops (own)", "WER (own)",
    "minus teacher (own)", "minus qk kept (own)", "loops (30 s)", "WER (30 s)", "minus teacher (30 s)",
    "minus qk kept (30 s)", "time at 5 s", "time at 30 s", "speakers, %", "phones, %",
)  # fmt: skip


@dataclass(frozen=True)
class WordCells:
    """Word errors of a row at one length of input.

    Attributes:
        rate: word error rate, mean over seeds.
        changed: word differences to the teacher's transcripts, per word.
        loops: decoding loops, mean over seeds.
        above_teacher: the rate less the teacher's at 30 s.
        above_kept: the rate less that of kept query-key attention, distilled in the same way.
    """

    rate: float
    changed: float
    loops: float
    above_teacher: Difference | None
    above_kept: Difference | None


@dataclass(frozen=True)
class TableRow:
    """One row of the table.

    Attributes:
        row: name.
        seeds: seeds.
        replaced: number of replaced layers.
        input_independent: whether the mechanism's weights are the same for every input.
        relative_error: of the encoder's output, mean over seeds.
        words: word errors by length of input.
        times: time relative to the teacher as it is used, by seconds of speech, with its interval; of the first seed.
        probes: accuracy of each of `PROBES` that was measured on the encoder's output, mean over seeds.
    """

    row: str
    seeds: tuple[int, ...]
    replaced: int
    input_independent: bool
    relative_error: float
    words: dict[str, WordCells]
    times: dict[int, tuple[float, float, float]]
    probes: dict[str, float]


@dataclass(frozen=True)
class Table:
    """The table of all conversions of a teacher.

    Attributes:
        rows: sorted by word errors, then by relative error.
        teacher: word error rate and loops of the teacher at 30 s; None if no words were measured.
        utterances: number of utterances that word errors rest on.
        layers: number of layers of the encoder.
        teacher_probes: accuracy of each of `PROBES` on the output of the teacher's encoder, as far as it was measured.
    """

    rows: tuple[TableRow, ...]
    teacher: tuple[float, int] | None
    utterances: int
    layers: int
    teacher_probes: dict[str, float]

    def kept(self, length: str) -> TableRow | None:
        """Return the control, all layers with kept query-key attention; None if its words were not measured."""
        return next((it for it in self.rows if it.row == KEPT and length in it.words), None)


def make_table(records: Sequence[ConversionRecord]) -> Table:
    """Return the table of conversions."""
    by_row: dict[str, list[ConversionRecord]] = {}
    for record in records:
        by_row.setdefault(record.row, []).append(record)
    compared = {length: _bootstrap(records, length) for length in LENGTHS}
    rows = [_row(name, found, compared) for name, found in by_row.items()]
    rows.sort(key=lambda it: (it.words["own"].rate if "own" in it.words else float("inf"), it.relative_error))
    probes = {name: found[0][1] for name, task in PROBES.items() if (found := _probed(records, task))}
    measured = next((words for it in records if (words := it.words("own") or it.words("30"))), None)
    if measured is None:
        return Table(tuple(rows), None, 0, records[0].layers, probes)
    teacher = measured["teacher"]["word_error_rate"], measured["teacher"]["loops"]
    return Table(tuple(rows), teacher, measured["utterances"], records[0].layers, probes)


def _probed(records: Sequence[ConversionRecord], task: str) -> list[tuple[float, float]]:
    return [found for it in records if (found := it.probe(task))]


def _bootstrap(records: Sequence[ConversionRecord], length: str) -> PairedBootstrap | None:
    counts = {(it.row, it.seed): {length: found} for it in records if (found := it.counts(length))}
    teacher = next((found for it in records if (found := it.teacher_counts(length))), None)
    if teacher is None:
        return None
    return PairedBootstrap({**counts, (TEACHER, 0): {length: teacher}}, deterministic=[TEACHER])


def _row(name: str, records: list[ConversionRecord], compared: dict[str, PairedBootstrap | None]) -> TableRow:
    words = {}
    for length in LENGTHS:
        found = [it for record in records if (it := record.words(length))]
        bootstrap = compared[length]
        if found and bootstrap:
            words[length] = WordCells(
                rate=fmean(it["student"]["word_error_rate"] for it in found),
                changed=fmean(it["words_changed"] for it in found),
                loops=fmean(it["student"]["loops"] for it in found),
                above_teacher=bootstrap.difference([TEACHER], [name], [length]),
                above_kept=_above_kept(bootstrap, name, length),
            )
    times = {seconds: ratio for seconds in TIMED if (ratio := records[0].time_ratio(seconds))}
    return TableRow(
        name,
        tuple(sorted(it.seed for it in records)),
        records[0].replaced,
        records[0].input_independent,
        fmean(it.relative_error for it in records),
        words,
        times,
        {name: fmean(it for it, _ in found) for name, task in PROBES.items() if (found := _probed(records, task))},
    )


def _above_kept(bootstrap: PairedBootstrap, name: str, length: str) -> Difference | None:
    """Return a row's error rate less that of kept attention; accuracies have the opposite sign of error rates."""
    if name == KEPT or not bootstrap.measured(KEPT, length):
        return None
    return bootstrap.difference([KEPT], [name], [length])


def cells(row: TableRow) -> list[str]:
    """Return a row as text, in the order of `HEADER`."""
    own, padded = row.words.get("own"), row.words.get("30")
    return [
        row.row,
        str(len(row.seeds)),
        str(row.replaced),
        f"{row.relative_error:.3f}",
        f"{own.changed:.3f}" if own else "",
        *_word_cells(own),
        *_word_cells(padded),
        *(f"{row.times[seconds][0]:.3f}" if seconds in row.times else "" for seconds in TIMED),
        *(f"{100 * row.probes[name]:.1f}" if name in row.probes else "" for name in PROBES),
    ]


def _word_cells(words: WordCells | None) -> list[str]:
    if words is None:
        return [""] * 4
    return [f"{words.loops:.1f}", f"{words.rate:.3f}", interval(words.above_teacher), interval(words.above_kept)]


def interval(difference: Difference | None) -> str:
    """Return a difference with its interval as text, marked if it rests on one seed."""
    if difference is None:
        return ""
    return f"{difference.estimate:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]{mark_of(difference)}"


def as_csv(table: Table) -> str:
    """Return the table as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(cells(row) for row in table.rows)
    return out.getvalue()


def filled(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows as text, without columns that no row has a value for."""
    rows = [cells(row) for row in table.rows]
    kept = [place for place in range(len(HEADER)) if any(row[place] for row in rows)]
    return [HEADER[place] for place in kept], [[row[place] for place in kept] for row in rows]


def as_markdown(table: Table) -> str:
    """Return the table in Markdown."""
    header, rows = filled(table)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{MARKS}\n"
