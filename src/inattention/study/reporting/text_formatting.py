"""Text formatting of the report: numbers, intervals, lists and names, each in one form everywhere."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from inattention.comparison import Difference, Ratio, mark_of

TASK_WORDS = {
    "speaker-utterance": "speakers by utterance",
    "speaker-frame": "speakers by frame",
    "phone-1-hidden": "phones (1 hidden layer)",
    "phone-2-hidden": "phones (2 hidden layers)",
}


def number_range(bounds: tuple[int, int]) -> str:
    """Return two numbers as a range, or as one number where they are equal.

    >>> number_range((1190, 1200)), number_range((60, 60))
    ('1,190 to 1,200', '60')
    """
    low, high = bounds
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def code(name: str) -> Markup:
    """Return a row's name as HTML code."""
    return Markup("<code>{}</code>").format(name)


def breakable(name: str) -> Markup:
    """Return a row's name that may wrap before each of its parts, for narrow columns.

    >>> str(breakable("qk@identity"))
    'qk<wbr>@identity'
    """
    return Markup(str(escape(name)).replace("@", "<wbr>@"))


def listing(items: Sequence[str], last: str = "and") -> Markup:
    """Join words as in a sentence; text that is not markup is escaped.

    >>> str(listing(["a", "b", "c"]))
    'a, b and c'
    """
    words = [escape(item) for item in items]
    if len(words) < 2:
        return Markup("").join(words)
    return Markup(", ").join(words[:-1]) + Markup(f" {last} ") + words[-1]


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "seed"), counted(1200, "utterance")
    ('1 seed', '1,200 utterances')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(fraction: float) -> str:
    """Return a fraction in percent, without the sign.

    >>> percent(0.9926)
    '99.3'
    """
    return f"{100 * fraction:.1f}"


def signed(points: float) -> str:
    """Return a difference with its sign, to one decimal.

    >>> signed(3.14), signed(-0.01)
    ('+3.1', '0.0')
    """
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\N{MINUS SIGN}")


def three_digits(value: float) -> str:
    """Return a number to three significant digits, without an exponent.

    >>> three_digits(0.01234), three_digits(1234.5), three_digits(12.0)
    ('0.0123', '1230', '12.0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):.{max(places, 0)}f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(4.8), duration(42.3), duration(600), duration(9000)
    ('4.8 s', '42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    size, unit = (3600, "h") if seconds >= 5400 else (60, "min")
    amount = seconds / size
    return f"{amount:.1f} {unit}".replace(".0 ", " ") if amount < 10 else f"{amount:.0f} {unit}"


def formula(text: str) -> Markup:
    """Return a cost formula as HTML, with exponents such as in T^1.5 raised.

    >>> str(formula("O(T^1.5 d < H)"))
    'O(T<sup>1.5</sup> d &lt; H)'
    """
    return Markup(re.sub(r"\^([\w.]+)", r"<sup>\1</sup>", str(escape(text))))


def points_text(difference: Difference | None) -> str:
    """Return a difference of accuracies in percentage points, with its interval.

    >>> points_text(Difference(0.026, 0.007, 0.046, seeds=2))
    '+2.6 [+0.7, +4.6]'
    """
    if difference is None:
        return "not measured"
    middle, low, high = (signed(100 * it) for it in (difference.estimate, difference.low, difference.high))
    return f"{middle} [{low}, {high}]{mark_of(difference)}"


def loss_text(difference: Difference | None) -> str:
    """Return a difference of losses with its interval.

    >>> loss_text(Difference(-0.0264, -0.03, -0.02, seeds=2))
    '−0.026 [−0.030, −0.020]'
    """
    if difference is None:
        return "not measured"
    middle, low, high = (
        f"{it:+.3f}".replace("-", "\N{MINUS SIGN}") for it in (difference.estimate, difference.low, difference.high)
    )
    return f"{middle} [{low}, {high}]{mark_of(difference)}"


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio of times with its interval, if there are several rounds.

    >>> ratio_text(Ratio(0.8, 0.78, 0.82, rounds=5)), ratio_text(Ratio(0.8, 0.0, math.inf, rounds=1))
    ('0.80 [0.78, 0.82]', '0.80')
    """
    return f"{ratio.ratio:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio.rounds > 1 else f"{ratio.ratio:.2f}"
