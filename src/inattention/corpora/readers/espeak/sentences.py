"""An endless stream of plain English sentences, no two alike, for synthetic voices to read.

A small grammar over several hundred words: frames (`"{name} {past} the {adjective} {thing} ..."`) whose slots are
filled at random from word lists. The lists contain English's rare phones (the vowels of *book* and *boy*, the
consonants of *measure*, *thumb* and *young*) more often than running text does, so that each phone is frequent enough
to learn. The sentences are meant to sound varied, not to make much sense. Most last 2 to 5 seconds.
"""

import random
import re
from collections.abc import Iterator

_WORDS: dict[str, str] = {
    "name": """Agatha Alan Amy Audrey Beth Boyd Bruce Charles Cheryl Chuck Claude Dorothy Douglas Edith Eugene Floyd
        Frank George Grace Heather Howard Hugh Irene Jack Janice Joyce Judith Kathy Kevin Keith Leroy Lewis Martha
        Matthew Meg Mitch Naomi Nathan Oscar Owen Paula Phoebe Quentin Roy Ruth Sean Shirley Sophie Thelma Theo Toby
        Ursula Victor Vivian Walter Wendy Wyatt Yolanda Yusuf Zachary Zoe""",
    "person": """actor author aunt baker barber boy butcher captain chef child clown coach cook cousin cyclist dancer
        doctor driver engineer farmer father fisherman gardener giant girl guard guide hunter janitor jeweller judge
        king knight lawyer magician major mayor merchant mother musician neighbour nurse officer painter pilot plumber
        poet preacher prince queen sailor scholar shepherd shopper singer soldier teacher thief tourist uncle usher
        visitor waiter watchman widow wizard woman writer youth zoologist""",
    "animal": """badger bear bee bird buffalo bull camel cheetah chicken cow crow deer dog donkey dove eagle elephant
        fish fox giraffe goat goose hawk hedgehog horse hound jaguar kangaroo kitten lion lizard lynx mole monkey moose
        moth mouse mule otter owl ox oyster panther peacock pig pony puppy rabbit raven seal shark sheep snake sparrow
        spider swan tiger toad turkey turtle vulture walrus wasp whale wolf yak zebra""",
    "thing": """apple arrow axe bag banjo barrel basket bath bell bench blanket book boot bottle bowl box
        bridge broom brush bucket bullet bush button cage candle canoe card carriage chain chair cheese cherry chest
        clock cloth cloud coin collar compass cookie crown cube cup curtain cushion desk diary dish door drawer dress
        drum engine envelope feather fence fire flag flute fork fountain fudge garage gate glass glove guitar hammer hat
        helmet hinge hood hook house jar jacket jewel jug juice kettle key kite knife ladder lamp lantern leaf belt
        letter lock lunch machine map match medal message mirage mirror mixture moon motor mug museum music nail
        necklace needle newspaper noose notebook oil onion orange oven page pan parachute parcel path pencil piano
        picture pie pillow pipe pitcher plank poison pouch pudding purse puzzle quilt radio raft rope rouge ruby
        sandwich scarf shawl shell shirt shoe shovel sign silver soap soil song spoon stew stone suit switch
        sword table teapot telephone television tent thimble thing thorn throne thumb tooth torch towel toy treasure
        trophy trumpet tube tunnel umbrella uniform vase vegetable violin voice wagon wall watch wax wheel whistle
        window wine witch wreath yacht yarn yoke zipper""",
    "plural": """acorns arches badges bananas bees beliefs biscuits boys bushes cages catches choices churches clothes
        coins collisions cooks decisions ditches earrings edges fathers feathers fingers geese girls hooks hours houses
        judges jungles joints keys languages leaves lessons measures mice mouths mushrooms myths noises numbers oaths
        onions oxen oysters paths peaches pies points potatoes questions rings rouges sheep shadows shoes stitches
        teeth thieves thoughts toys treasures trees uniforms views visions voices watches wishes wolves women yards
        years youths zebras""",
    "adjective": """ancient angry awful azure beige big bitter black blue bored brave bright broad brown bushy busy
        casual cheap chilly clever cloudy coarse cold cool crooked cruel curious curly damp dark deaf dear deep dirty
        dull eager early easy empty enormous equal even faint fair false famous fast fierce foolish foul free
        fresh full funny gentle giant glad golden good gray greasy great green grouchy happy hard harsh healthy heavy
        hollow hot huge human hungry icy joyful juicy jolly kind large lazy lean loud lovely loyal lucky mature mean
        mild moist muddy narrow neat new nice noisy odd old orange pale peculiar plain pleasant polite poor proud pure
        purple quick quiet rare raw rich rough round royal rude rural sad safe sharp shiny short shy silly simple
        sleepy slow smooth soft sour spoiled square steep strange strong stupid sure sweet tall tame thick thin
        thirsty thorny thoughtful tidy tiny tired tough ugly unusual useful usual vague vain vast warm weak wealthy
        weary wet white whole wide wild wise wooden woolen worthy yellow young youthful""",
    "past": """admired approached arranged avoided bought borrowed brought brushed built burned called carried caught
        changed chased chose collected cooked copied counted covered crushed destroyed discovered divided drew dropped
        earned enjoyed examined exchanged feared fetched finished followed forgot found gathered grabbed guarded handed
        heard held hid hooked imagined joined judged kept kicked knew launched left lifted lost loved managed measured
        mentioned missed moved noticed owned painted photographed pointed_at polished praised pulled pushed put_away
        reached remembered rescued returned sold searched shook showed smelled smoothed spoiled stole studied taught
        threw touched traded treasured trusted understood used valued visited voiced wanted washed watched weighed
        wished_for worshipped wrote_about yanked yearned_for""",
    "motion": """arrived bounced climbed crawled cruised danced disappeared drove dashed escaped fell flew floated
        hurried hid jogged jumped leaned looked marched moved paused ran returned rode rolled rushed sailed sat shouted
        shivered sighed slept slid snored sneezed sprang stood strolled stumbled swam thought trudged turned vanished
        voyaged waited walked wandered watched whistled worked yawned yelled zoomed""",
    "motion_ing": """arguing baking breathing bathing boiling bouncing catching chewing choosing cheering cooking
        coughing dancing digging drawing dreaming fishing flying giving going growing hiding hoping hunting joking
        judging jumping laughing learning leaving looking making moving paying playing praying pushing reading running
        sewing shaving shouting showing singing sleeping smiling smoking speaking staying swimming teaching thinking
        throwing touching trying using voting voyaging walking washing watching weaving whispering wishing worrying
        yawning yelling zigzagging""",
    "adverb": """again angrily badly bravely carefully casually cheerfully cleverly clumsily coolly eagerly early
        enjoyably faithfully firmly foolishly fully gently gladly hastily heavily here joyfully kindly lately leisurely
        loudly loyally madly nearby nervously noisily now often openly outdoors patiently peacefully politely proudly
        quickly quietly rarely sadly safely seriously slowly smoothly softly soon strangely suddenly surely thankfully
        there thoroughly thoughtfully together too truly twice usually visually warmly wisely with_pleasure""",
    "place": """airport arch attic avenue bakery balcony bank barn bay beach bookshop brook canyon castle cave cellar
        chapel church circus cliff coast college cottage court desert ditch earthworks factory farm fort
        forest garage garden harbor hallway hill hotel house island jail jungle kitchen lake lawn library lighthouse
        marsh meadow mill moor mountain museum north_shore ocean office orchard palace park pasture path pier pool porch
        prison pub railroad ranch river road roof royal_court school sea shop shore shoreline south_gate square stable
        stage station studio swamp temple theater tower town tunnel valley village warehouse well wharf wood yard
        zoo""",
    "preposition": """above across along around before behind below beneath beside beyond by down from inside
        into near on opposite outside over past round through to toward under up within without""",
    "determiner": "the the the this that every her his my our your their another one each",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "town": """Athens Bath Boston Bruges Cairo Chicago Dover Dublin Genoa Ghent Jersey Joinville Kyoto Lagos Lyon
        Madrid Moscow Norwich Oslo Plymouth Perth Quebec Rome Rouen Seoul Sheffield Sydney Tokyo Troy Utah Venice
        Vienna Warsaw York Yuma Zurich""",
    "stuff": """bread butter chalk cheese chocolate clay cloth coal coffee copper cream dirt earth flour fog food fruit
        fudge fur garbage ginger gold grass gravel hay honey ice ivory jam jelly juice lace leather lemonade maple_syrup
        marble meat milk mud noise oil oxygen paint paper pearl pepper plush poison porridge pudding rain rice rouge
        salt sand silk smoke snow soap soil soup steam straw sugar tar tea thread tin toffee velvet vinegar water
        wheat wine wood wool yeast yogurt zinc""",
    "small_number": """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen""",
    "tens": "twenty thirty forty fifty sixty seventy eighty ninety",
    "unit": "one two three four five six seven eight nine",
    "modal": "should could would might must can will shall may",
    "verb": """avoid bathe beg breathe bury buy carry catch choose chew cook cure destroy dig employ enjoy feed find
        fetch finish forge fry gather give hear help hook hurt join judge keep know lead learn leave lose love
        measure move nourish owe pay pull push put_away raise reach save see sew share show soothe spoil teach thank
        throw touch treat treasure try use value view wash watch weigh wish_for worry yank""",
}
_FRAMES: tuple[str, ...] = (
    "{name} and {name} {past} the {adjective} {thing} {preposition} the {place}.",
    "{determiner} {adjective} {person} {past} {determiner} {thing}, and the {animal} {motion} {adverb}.",
    "On {day}, {determiner} {person} {motion} {preposition} the {adjective} {place}.",
    "{number} {adjective} {plural} were {motion_ing} {preposition} the {place} in {month}.",
    "Did {name} {verb} the {thing} that {determiner} {person} {past}?",
    "{name} {motion} {adverb} to {town} with {number} {plural}.",
    "There are {number} {plural} and {number} {plural} {preposition} {determiner} {place}.",
    "{determiner} {animal} and {determiner} {animal} {motion} {preposition} {determiner} {adjective} {place}.",
    "We {modal} {verb} this {adjective} {stuff} before the {person} {past} it.",
    "Why {modal} {determiner} {person} {verb} {number} {adjective} {plural}?",
    "{name} was {motion_ing}, but {name} {past} the {stuff} {adverb}.",
    "They {past} {stuff}, {stuff} and {stuff} for the {adjective} {person}.",
    "If you {verb} the {thing}, {name} {modal} {verb} the {animal}.",
    "The {thing} of {adjective} {stuff} {motion} {adverb} {preposition} the {thing}.",
    "I {modal} {verb} {determiner} {thing} and you {modal} {verb} {determiner} {thing}.",
    "{name} said that the {adjective} {animal} {past} our {plural}.",
    "In {town}, the {person} {modal} {adverb} {verb} {number} {plural}.",
    "{determiner} {person} from {town} {past} us at {small_number} on {day}.",
    "Who {past} the {adjective} {adjective} {thing} {preposition} {town}?",
    "{motion_ing} with {determiner} {person}, {name} {adverb} {past} the {animal}.",
    "Please {verb} the {stuff} and {verb} the {adjective} {plural} {adverb}.",
    "The {animal} was {adjective}, the {animal} was {adjective}, and {name} {motion}.",
    "{number} {plural} {motion} while the {person} was {motion_ing} {adverb}.",
    "She {past} the {adjective} {stuff}; he {past} the {plural}.",
    "My {person} {modal} {verb} the {place} in {month} or {month}.",
    "It was {small_number} past {small_number} when the {animal} {past} {name}.",
)

# An underscore joins the words of one entry.
_ENTRIES: dict[str, tuple[str, ...]] = {
    slot: tuple(entry.replace("_", " ") for entry in text.split()) for slot, text in _WORDS.items()
}
_SLOT = re.compile(r"\{(\w+)\}")


def sentences(seed: int) -> Iterator[str]:
    """Yield sentences without end, no two alike; the same seed gives the same sentences in the same order.

    >>> stream = sentences(seed=0)
    >>> next(stream) != next(stream)
    True
    """
    generator = random.Random(seed)
    seen: set[str] = set()
    while True:
        sentence = _sentence(generator)
        if sentence not in seen:
            seen.add(sentence)
            yield sentence


def _sentence(generator: random.Random) -> str:
    frame = _pick(generator, _FRAMES)
    text = _SLOT.sub(lambda slot: _fill(generator, slot.group(1)), frame)
    return text[0].upper() + text[1:]


def _fill(generator: random.Random, slot: str) -> str:
    if slot != "number":
        return _pick(generator, _ENTRIES[slot])
    kind = int(generator.random() * 4)
    if kind < 2:
        return _fill(generator, "small_number")
    if kind == 2:
        return f"{_fill(generator, 'tens')} {_fill(generator, 'unit')}"
    return f"{_fill(generator, 'unit')} hundred and {_fill(generator, 'small_number')}"


def _pick(generator: random.Random, choices: tuple[str, ...]) -> str:
    # Of all of Python's generator only `random()` is guaranteed to give the same values in every version.
    return choices[int(generator.random() * len(choices))]
