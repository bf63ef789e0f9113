import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.base.errors import RulesError
from stt_model.text.language_rules import read_rules, rule_languages
from stt_model.text.normalisation import Normaliser, check_examples, open_normaliser

LANGUAGES = ("generic", *rule_languages())
RULES = {language: read_rules(language) for language in LANGUAGES}
GOLDEN = [
    ("generic", "“Don’t stop—now!” (she said)", "don't stop now she said"),
    ("generic", "Zero\u200bwidth\ufeff, soft\u00adhyphen\u00a0here", "zerowidth softhyphen here"),
    ("en", "The DOG's bone; naïve, [noise] e.g. this.", "the dog's bone naive e g this"),
    ("de", "Fußgänger ÜBERQUEREN die STRAẞE.", "fußgänger überqueren die straße"),
    ("de-CH", "Fußgänger", "fussgänger"),
    ("fr", "J’ai vu l’ÎLE, là-bas : « Ça va ? »", "j'ai vu l'île là bas ça va"),
    ("es", "¡Olé! ¿Dónde está el NIÑO?", "olé dónde está el niño"),
    ("pt-BR", "AÇÃO! O pão; à mão…", "ação o pão à mão"),
    ("it", "Dov’è l’ACQUA? Perché no.", "dov'è l'acqua perché no"),
    ("nl", "’t Is KOUD, zo’n dag – privé!", "'t is koud zo'n dag privé"),
    ("ca", "Paral·lel, GAL•LA, d’or", "paral·lel gal·la d'or"),
    ("ro", "ŞTIINŢĂ, ştiinţă: într-o zi", "știință știință într-o zi"),
    ("pl", "Zażółć GĘŚLĄ jaźń!", "zażółć gęślą jaźń"),
    ("cs", "Žluťoučký KŮŇ, „úpěl“.", "žluťoučký kůň úpěl"),
    ("hr", "Ǉeto i ĐURĐA", "ljeto i đurđa"),
    ("sr", "Ђурђевак, ЏЕП и њива", "ђурђевак џеп и њива"),
    ("bg", "Я, ПЪЛНА лъжица!", "я пълна лъжица"),
    ("mk", "Ѕвезда, ЃАВОЛ; ќе", "ѕвезда ѓавол ќе"),
    ("ru", "Съешь ЕЩЁ этих — мягких.", "съешь ещё этих мягких"),
    ("ru", "Mосква и pека", "москва и река"),
    ("uk", "ПʼЯТНИЦЯ, ґанок, їжа", "п'ятниця ґанок їжа"),
    ("be", "ЎСЁ добра, з’ява", "ўсё добра з'ява"),
    ("el", "ΚΑΛΟΣ λόγοσ, «ΣΟΦΟΣ»;", "καλος λόγος σοφος"),
    ("tr", "ISPARTA'da İYİ ışık", "ısparta'da iyi ışık"),
    ("az", "GƏNCƏ, İLIQ su", "gəncə iliq su".replace("iliq", "ilıq")),
    ("hu", "Õsz, ŰRHAJÓ, gyûrû", "ősz űrhajó gyűrű"),
    ("fi", "ÄITI, vaa’an päällä!", "äiti vaa'an päällä"),
    ("lt", "ŽĄSIS, ėjo: „ūsas“", "žąsis ėjo ūsas"),
    ("sv", "ÅÄÖ, ”hej” – då!", "åäö hej då"),
    ("da", "»ÆBLE«, å og ø.", "æble å og ø"),
    ("is", "ÞÓR, ÐEKKI; æ", "þór ðekki æ"),
    ("ga", "An tÁbhar, i nÉirinn", "an t-ábhar i n-éirinn"),
    ("mt", "Ħobż, ta’ GĦAWDEX", "ħobż ta' għawdex"),
    ("ka", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ, „კი“!", "საქართველო კი"),
    ("hy", "Ո՞վ է ԱՅՍ։", "ով է այս"),
    ("he", "דו״ח, צ׳יפס: שָׁבָּת", "דוח צ'יפס שבת"),
    ("ar", "كَتَبَ، مرحبـــا؟", "كتب مرحبا"),
    ("fa", "كتاب‌هاي من؟", "کتاب‌های من"),
    ("ur", "ميں، كہاں ہوں؟", "میں کہاں ہوں"),
    ("hi", "क्या, हाल है? अच्छा।", "क्या हाल है अच्छा"),
    ("ml", "അവര\u0d4d\u200d, വന്നു!", "അവർ വന്നു"),
    ("sw", "NG’OMBE, mwana; “ndiyo”", "ng'ombe mwana ndiyo"),
    ("yo", "Ẹ̀KỌ́, ṣé?", "ẹ̀kọ́ ṣé"),
    ("vi", "Ðường, HÀ NỘI!", "đường hà nội"),
    ("haw", "Hawai’i, ‘Ōlelo", "hawaiʻi ʻōlelo"),
    ("am", "ሰላም፣ ነው።", "ሰላም ነው"),
]  # fmt: skip

# What transcripts hold and what trips normalisers, beside any character at all.
TROUBLE = st.text(
    st.sampled_from(
        "aAbBiIİıßẞσΣςеЕоОaäÄ\u0308\u0301\u0327\u200b\u200c\u200d\u00ad\ufeff \t\n\u00a0"
        "'’ʼʻ`\"“”«».,;:!?-–—()[]<>{}*&%12٣½ﬁĳŀლᲚكيה״׳ñn"
    ),
    max_size=12,
)
TEXTS = TROUBLE | st.text(max_size=12)


def test_rules_are_shipped_for_many_languages():
    assert len(LANGUAGES) > 90
    assert len({language for language, *_ in GOLDEN} - {"generic"}) >= 40


@pytest.mark.parametrize(("language", "text", "expected"), GOLDEN)
def test_golden_examples(language, text, expected):
    found = open_normaliser(language)(text)
    assert (found.text, found.problem) == (unicodedata.normalize("NFC", expected), "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_rules_do_what_their_own_examples_say(language):
    assert RULES[language].examples
    check_examples(RULES[language])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_letters_of_its_own_script_in_small_nfc(language):
    letters = "".join(sorted(RULES[language].letters))
    assert letters == unicodedata.normalize("NFC", letters)
    lower = letters.translate(str.maketrans(dict(RULES[language].lower))).lower()
    assert lower == letters
    if letters:
        scripts = {unicodedata.name(letter).partition(" ")[0] for letter in letters}
        assert scripts == {RULES[language].script}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(LANGUAGES), TEXTS, st.sampled_from(["set_aside", "keep"]))
def test_normalising_twice_is_normalising_once_and_nothing_is_emptied(language, text, numbers):
    normalise = Normaliser(RULES[language], numbers)
    found = normalise(text)
    again = normalise(found.text)
    assert again.text == found.text
    assert again.problem == found.problem if found.problem else not again.actions
    if found.problem:
        assert (found.text, found.actions) == (text, ())
    else:
        assert found.text and found.text == found.text.strip() and "  " not in found.text
        assert unicodedata.is_normalized("NFC", found.text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LANGUAGES), TEXTS)
def test_the_actions_lead_from_the_text_to_what_became_of_it(language, text):
    found = Normaliser(RULES[language])(text)
    steps = [text, *(action.after for action in found.actions)]
    assert [action.before for action in found.actions] == steps[:-1]
    assert steps[-1] == found.text
    assert all(action.before != action.after for action in found.actions)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_generic_rules_leave_no_capitals_punctuation_or_digits(text):
    found = Normaliser(RULES["generic"])(text)
    if not found.problem:
        assert found.text == found.text.lower()
        left = {unicodedata.category(each)[0] for each in found.text if each not in "' "}
        assert not left & {"P", "S", "N", "Z", "Cc", "Cf"}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["haus", "straße", "über", "geht's"]), min_size=1))
def test_clean_text_is_left_alone(words):
    text = " ".join(words)
    assert Normaliser(RULES["de"])(text).text == text
    assert Normaliser(RULES["de"])(text).actions == ()


def test_every_rule_that_acted_is_told_with_the_text_before_and_after():
    found = open_normaliser("en")("It’s  ON.")
    assert [action.rule for action in found.actions] == [
        "apostrophes", "punctuation", "capitals", "white space",
    ]  # fmt: skip
    assert (found.actions[0].before, found.actions[0].after) == ("It’s  ON.", "It's  ON.")


@pytest.mark.parametrize(
    ("language", "text", "reason"),
    [
        ("en", "page 7", "numbers that are not spelled out: '7'"),
        ("en", "½ pint", "numbers that are not spelled out: '½'"),
        ("hi", "पेज ७", "numbers that are not spelled out"),
        ("en", "it costs $", "the rules do not say how '$' U+0024 DOLLAR SIGN is read"),
        ("en", " … ", "nothing is left of ' … '"),
        ("en", "", "nothing is left of ''"),
        ("en", "he (inaudible) left", "part of what was said is not written down: '(inaudible)'"),
        ("en", "he <UNK> left", "part of what was said is not written down: '<UNK>'"),
        ("en", "[[laughs] twice]", "nothing is left of"),
    ],
)
def test_ambiguous_texts_are_set_aside_with_the_reason(language, text, reason):
    found = open_normaliser(language)(text)
    assert found.text == text
    assert found.problem.startswith(reason)
    assert "\n" not in found.problem


@pytest.mark.parametrize(
    ("language", "text", "spelled"),
    [
        ("en", "I have 21 cats.", "i have twenty one cats"),
        ("de", "21 Katzen", "einundzwanzig katzen"),
        ("fr", "80 ans", "quatre vingts ans"),
        ("fr", "en 1990", "en mille neuf cent quatre vingt dix"),
        ("en", "5 % & 6", "five percent and six"),
    ],
)
def test_numbers_are_spelled_out_where_asked_for(language, text, spelled):
    assert open_normaliser(language, numbers="spell")(text).text == spelled


@pytest.mark.parametrize(
    "text", ["in 1990", "3.5 kg", "10:30", "007", "1,000", "1990-91", "2nd", "-5", "12/24", "a1"]
)
def test_numbers_that_can_be_read_in_several_ways_are_set_aside(text):
    assert "not spelled out" in open_normaliser("en", numbers="spell")(text).problem


def test_numbers_of_a_language_without_a_reader_are_set_aside():
    assert open_normaliser("sw", numbers="spell")("12").problem


def test_numbers_are_kept_where_asked_for():
    assert open_normaliser("en", numbers="keep")("Room 12!").text == "room 12"


def test_letters_beyond_the_languages_own_are_told():
    normaliser = open_normaliser("de")
    assert normaliser.beyond("café über ж") == {"é", "ж"}
    assert open_normaliser()("ж") and not open_normaliser().beyond("ж")


def test_threads_may_share_a_normaliser():
    normaliser = open_normaliser("tr")
    texts = [f"İSTANBUL {chr(0x61 + number % 26)} IŞIK" for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(normaliser, texts)) == list(map(normaliser, texts))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("language: [", "expected YAML, found"),
        ("just text", "expected keys and values"),
        ("langage: xx\n", "unknown key langage; there are accents, "),
        ("language: xx\nname: X\ncase: upper\n", "case: expected lower or keep, found 'upper'"),
        ("language: xx\nname: X\nremove: [abc]\n", "remove: expected a character or U+064B"),
        ("language: xx\nname: X\npatterns: [{find: '(', replace: ''}]\n", "missing ), unterminat"),
        (
            "language: xx\nname: X\nexamples: [{text: A b, becomes: A b}]\n",
            "rules for X: the example 'A b' expects 'A b', found 'a b'",
        ),
        ("language: xx\nname: X\nlower: {ab: c}\n", "lower: expected 1 character before"),
        ("language: xx\nname: X\nreplace:\n", "replace: expected keys and values, found None"),
        ("language: xx\nname: X\nannotations: 3\n", "annotations: expected a list, found 3"),
        ("language: no\nname: X\n", "language: expected a text, in quotes if need be, found False"),
        ("language: xx\nname: X\napostrophe: 9\n", "apostrophe: expected a text"),
        ("language: xx\nname: X\napostrophe: ab\n", "apostrophe: expected one character, found"),
        ("language: xx\nname: X\nexamples: [{text: 3, becomes: 3}]\n", "in quotes if need be, fo"),
        ("language: xx\nname: " + "[" * 9999, "nested too deeply"),
    ],
)
def test_a_rules_file_that_cannot_be_understood_is_refused(tmp_path, content, said):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(RulesError) as caught:
        open_normaliser(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_of_ones_own_lie_over_the_generic_ones(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "language: xx\nname: Own\nreplace: {sh: š}\nannotations: [ding]\n"
        "examples: [{text: 'SHip (ding)!', becomes: šip}]\n"
    )
    assert open_normaliser(str(path))("“Fish’s” (laughs) (ding)").text == "fiš's"


def test_rules_that_never_end_set_the_text_aside(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("language: xx\nname: Own\nreplace: {a: aa}\nexamples: []\n")
    found = open_normaliser(str(path))("a")
    assert (found.text, found.problem.partition(",")[0]) == ("a", "the rules never end")


def test_a_language_without_rules_is_refused():
    with pytest.raises(RulesError, match="no rules for writing 'tlh'; there are af, am, ar"):
        open_normaliser("tlh")
