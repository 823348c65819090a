"""Small pieces of text for the report: numbers, lists and names, each in one form everywhere."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

TASK_WORDS = {
    "speaker-utterance": "speakers by utterance",
    "speaker-frame": "speakers by frame",
    "phone-1-hidden": "phones (1 hidden layer)",
    "phone-2-hidden": "phones (2 hidden layers)",
}


def code(name: str) -> Markup:
    """Set a row's name as the thing that one types."""
    return Markup("<code>{}</code>").format(name)


def breakable(name: str) -> Markup:
    """Let a row's name break before its parts, where it stands in a narrow column.

    >>> str(breakable("qk@identity"))
    'qk<wbr>@identity'
    """
    return Markup(str(escape(name)).replace("@", "<wbr>@"))


def listing(items: Sequence[str], last: str = "and") -> Markup:
    """Join words as a sentence does; whatever is no markup yet is escaped.

    >>> str(listing(["a", "b", "c"]))
    'a, b and c'
    """
    words = [escape(item) for item in items]
    if len(words) < 2:
        return Markup("").join(words)
    return Markup(", ").join(words[:-1]) + Markup(f" {last} ") + words[-1]


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many.

    >>> counted(1, "seed"), counted(1200, "utterance")
    ('1 seed', '1,200 utterances')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """A share of 1 in percent, without the sign.

    >>> percent(0.9926)
    '99.3'
    """
    return f"{100 * share:.1f}"


def signed(points: float) -> str:
    """A difference with its sign, to one place.

    >>> signed(3.14), signed(-0.01)
    ('+3.1', '0.0')
    """
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\N{MINUS SIGN}")


def three_digits(value: float) -> str:
    """A number to three significant digits, without an exponent.

    >>> three_digits(0.01234), three_digits(1234.5), three_digits(12.0)
    ('0.0123', '1230', '12.0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):.{max(places, 0)}f}"


def duration(seconds: float) -> str:
    """Time as people say it.

    >>> duration(4.8), duration(42.3), duration(600), duration(9000)
    ('4.8 s', '42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    size, unit = (3600, "h") if seconds >= 5400 else (60, "min")
    amount = seconds / size
    return f"{amount:.1f} {unit}".replace(".0 ", " ") if amount < 10 else f"{amount:.0f} {unit}"


def formula(text: str) -> Markup:
    """Raise exponents, such as in T^1.5.

    >>> str(formula("O(T^1.5 d < H)"))
    'O(T<sup>1.5</sup> d &lt; H)'
    """
    return Markup(re.sub(r"\^([\w.]+)", r"<sup>\1</sup>", str(escape(text))))
