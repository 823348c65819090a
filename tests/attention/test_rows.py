"""A row has one name, however it is written, and says what is wrong with it."""

import pytest

from inattention.attention import card, mechanisms
from inattention.attention.base import AttentionMechanism, Card
from inattention.attention.registry import _MECHANISMS, register
from inattention.attention.rows import Row, parse_row


@pytest.fixture
def many_options():
    """A mechanism with an option of each type, for as long as a test lasts."""

    class ManyOptions(AttentionMechanism):
        def __init__(
            self,
            *,
            width: int,
            heads: int,
            max_length: int | None = None,
            keys: int = 32,
            share: bool = True,
            gain: float = 1.0,
            form: str = "plain",
            stride: int | None = None,
            offsets: tuple[float, ...] = (0.0, 1.0),
        ) -> None:
            super().__init__(width=width, heads=heads, max_length=max_length)

    names = ("keys", "share", "gain", "form", "stride", "offsets")
    mechanisms()
    register(
        Card(
            name="many-options",
            label="-",
            family="-",
            citation="-",
            training_cost="-",
            inference_cost="-",
            flops=lambda *sizes, **options: 0,
            options=dict.fromkeys(names, "-"),
            variants={"narrow": {"keys": 4}, "as-run": {"keys": 4, "form": "rough"}, "usual": {"form": "plain"}},
        )
    )(ManyOptions)
    yield
    del _MECHANISMS["many-options"]


def test_a_row_is_a_mechanism_with_options() -> None:
    assert parse_row("qk") == Row("qk", "qk", {}, untrained=False)
    assert parse_row("qk@identity") == Row("qk@identity", "qk", {"start": "identity"}, untrained=False)
    assert parse_row("patterned@logits").options == {"init": "logits"}
    assert parse_row("qk@untrained") == Row("qk@untrained", "qk", {}, untrained=True)


@pytest.mark.usefixtures("many_options")
@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("keys=8", "keys", 8),
        ("share=false", "share", False),
        ("gain=2", "gain", 2.0),
        ("form=rough", "form", "rough"),
        ("stride=7", "stride", 7),
        ("stride=0.5", "stride", 0.5),
        ("stride=wide", "stride", "wide"),
        ("offsets=-1,2.5", "offsets", (-1.0, 2.5)),
    ],
)
def test_values_have_the_type_of_the_default(text: str, option: str, value: object) -> None:
    row = parse_row(f"many-options@{text}")
    assert row.options == {option: value}
    assert type(row.options[option]) is type(value)
    assert parse_row(row.name) == row


@pytest.mark.usefixtures("many_options")
@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["many-options@keys=4", "many-options@narrow"], "many-options@narrow"),
        (["many-options@form=rough@keys=4", "many-options@as-run@narrow"], "many-options@as-run"),
        (["many-options@untrained@gain=2@narrow", "many-options@narrow@gain=2.0@untrained@untrained"],
         "many-options@narrow@gain=2.0@untrained"),
        (["many-options@usual", "many-options@keys=32", "many-options@stride=none"], "many-options"),
    ],
)  # fmt: skip
def test_all_ways_to_write_a_row_have_one_name(texts: list[str], name: str) -> None:
    assert {parse_row(text).name for text in texts} == {name}
    assert parse_row(name).name == name


def test_every_variant_of_every_mechanism_is_a_row() -> None:
    for mechanism in mechanisms():
        for variant, options in card(mechanism).variants.items():
            row = parse_row(f"{mechanism}@{variant}")
            assert row.options.items() <= dict(options).items()
            assert parse_row(row.name) == row


@pytest.mark.usefixtures("many_options")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patternd", "row 'patternd': there is no attention mechanism 'patternd'; perhaps 'patterned'"),
        ("qk@identiy", "row 'qk@identiy': there is no variant 'identiy'; perhaps 'identity'"),
        ("none@untraind", "no variant 'untraind'; perhaps 'untrained'"),
        ("qk@gian=2", "there is no option 'gian'; perhaps 'gain'"),
        ("qk@gain=much", "gain takes a value of type float, not 'much'"),
        ("many-options@keys=2.5", "keys takes a value of type int, not '2.5'"),
        ("many-options@share=1", "share takes a value of type bool, not '1'"),
        ("many-options@offsets=a,b", "offsets takes a value of type tuple, not 'a,b'"),
        ("qk@identity@start=normal", "start is given twice, as 'identity' and as 'normal'"),
        ("", "there is no attention mechanism ''"),
        ("qk@", "there is no variant ''"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="row ") as error:
        parse_row(text)
    assert message in str(error.value)


def test_a_path_in_a_row_may_hold_an_at_sign() -> None:
    row = parse_row("patterned@init=runs/qk@identity-0/maps.safetensors@untrained")
    assert row.options == {"init": "runs/qk@identity-0/maps.safetensors"}
    assert row.untrained
    assert parse_row(row.name) == row
    assert parse_row("patterned@init=logits@untrained").name == "patterned@logits@untrained"


def test_a_row_may_hold_counts_of_heads() -> None:
    row = parse_row("patterned@categories=diagonal=5,increasing=1,decreasing=1,sparse=5@logits")
    assert row.options == {"categories": "diagonal=5,increasing=1,decreasing=1,sparse=5", "init": "logits"}
    assert parse_row(row.name) == row
