"""``inattention-runtime``: features of recordings, from the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after ``inattention-runtime``; those of the process if None.

    Returns:
        The exit status: 0 on success; 1 if files could not be used; 2 if the command cannot be carried out; 130 after
        Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return _transcribe(options) if options.command == "transcribe" else _extract(options)
    except KeyboardInterrupt:
        print("inattention-runtime: interrupted; the same command continues from here", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"inattention-runtime {options.command}: {error}", file=sys.stderr)
        return 2


def _extract(options: argparse.Namespace) -> int:
    from inattention_runtime.encoder import Encoder
    from inattention_runtime.folder import extract_folder

    encoder = Encoder(options.encoder, threads=options.threads, whole_window=True if options.whole_window else None)
    done = extract_folder(
        encoder,
        options.folder,
        options.out,
        layer=options.layer,
        truncated=options.truncated,
        block_seconds=options.block,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )
    if not options.quiet:
        speed = f"; {done.audio_seconds / max(done.wall_seconds, 1e-9):.0f} times real time" if done.extracted else ""
        print(
            f"{done.extracted} of {done.files} files extracted, {done.done_before} were done before, "
            f"{len(done.bad)} could not be used{speed}"
        )
        if options.block is not None and (words := encoder.reach_in_words()):
            print(f"a frame depends on {words}")
        print(f"features: {options.out}")
        for what, count in sorted(done.ignored.items()):
            print(f"not read: {count} x {what}")
    return 1 if done.bad else 0


def _transcribe(options: argparse.Namespace) -> int:
    from inattention_runtime.reader import AudioError
    from inattention_runtime.transcription import Whisper

    model = Whisper(
        options.encoder,
        options.decoder,
        threads=options.threads,
        whole_window=True if options.whole_window else None,
    )
    bad = 0
    for path in options.recordings:
        try:
            found = model.transcribe(
                path, language=options.language, beam_size=options.beam_size, truncated=options.truncated
            )
        except AudioError as error:
            bad += 1
            print(f"skipped {error}", file=sys.stderr)
            continue
        print(f"{path}\t{found.text}" if len(options.recordings) > 1 else found.text)
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inattention-runtime", description="Run speech encoders that inattention exported, without PyTorch."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    extract = commands.add_parser(
        "extract",
        help="extract the features of a recording, or of every one in a folder",
        description="Extract the features of a recording, or of every one in a folder, at any sampling rate and "
        "length. Run again, it resumes.",
    )
    extract.add_argument("encoder", type=Path, help="file that inattention export wrote")
    extract.add_argument("folder", type=Path, help="folder of recordings, searched recursively, or a single recording")
    extract.add_argument("--out", type=Path, required=True, help="folder of the features: NAME.npy and NAME.times.npy")
    extract.add_argument("--layer", type=int, default=-1, help="hidden state, one of those in the file (default: -1)")
    extract.add_argument(
        "--block",
        type=float,
        metavar="SECONDS",
        help="features of one pass over each whole recording, in blocks of at most so many seconds, for encoders of "
        "limited reach; for Whisper, time between the beginnings of its windows of 30 s (default: chunks of the "
        "encoder's longest input)",
    )
    extract.add_argument("--overwrite", action="store_true", help="extract everything again")
    extract.add_argument("--quiet", action="store_true", help="print errors alone")
    transcribe = commands.add_parser(
        "transcribe",
        help="transcribe recordings with an encoder of Whisper",
        description="Transcribe recordings with an encoder of Whisper and CTranslate2's decoder.",
    )
    transcribe.add_argument("encoder", type=Path, help="file that inattention export wrote")
    transcribe.add_argument("recordings", type=Path, nargs="+", help="recordings")
    transcribe.add_argument("--decoder", type=Path, help="folder of the decoder (default: the one beside the encoder)")
    transcribe.add_argument("--language", default="en", help="code of the language (default: en)")
    transcribe.add_argument("--beam-size", type=int, default=1, help="number of beams (default: 1, greedy decoding)")
    for command in (extract, transcribe):
        _add_common(command)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--threads", type=int, help="number of threads (default: one for each core)")
    command.add_argument("--whole-window", action="store_true", help="feed Whisper 30 s, speech and silence")
    command.add_argument(
        "--truncated",
        choices=("skip", "keep"),
        default="skip",
        help="skip files that end before their header says, or keep what is there of them (default: skip)",
    )
