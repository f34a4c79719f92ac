import json
from collections import Counter
from fractions import Fraction
from importlib.resources import files

import pytest

from dsgen.seeds.text.lift import STAGES, Lift, NotLifted, lift

RECORDS = [
    json.loads(line)
    for line in (files("dsgen.seeds.data") / "gsm8k_train_500.jsonl").read_text(encoding="utf-8").splitlines()
]

LIFTED = [
    pytest.param(
        "Ann has 12 apples and buys 30 more. How many apples does she have?",
        "She has 12 + 30 = <<12+30=42>>42 apples.\n#### 42",
        {"n1": 15, "n2": 45},
        "Ann has 15 apples and buys 45 more. How many apples does she have?",
        "She has 15 + 45 = 60 apples.",
        id="a sum in the annotator's own sentence",
    ),
    pytest.param(
        "A shirt costs $40. It is 25% off. What does it cost now?",
        "The discount is 40 * .25 = $<<40*.25=10>>10.\nIt costs $40 - $10 = $<<40-10=30>>30.\n#### 30",
        {"n1": 80, "n2": 35},
        "A shirt costs $80. It is 35% off. What does it cost now?",
        "The discount is 80 × (35 / 100) = 28.\nIt costs 80 - 28 = 52.",
        id="a percentage written as a decimal",
    ),
    pytest.param(
        "A shirt costs $40. It is 25% off. What does it cost now?",
        "It costs 40 * .75 = $<<40*.75=30>>30.\n#### 30",
        {"n1": 80, "n2": 35},
        "A shirt costs $80. It is 35% off. What does it cost now?",
        "It costs 80 × (1 - 35 / 100) = 52.",
        id="what a percentage leaves",
    ),
    pytest.param(
        "Thirty girls and 14 boys sit down. How many children sit?",
        "In total 30 + 14 = <<30+14=44>>44 children.\n#### 44",
        {"n1": 45, "n2": 21},
        "Forty-five girls and 21 boys sit down. How many children sit?",
        "In total 45 + 21 = 66 children.",
        id="a number in words keeps its capital",
    ),
    pytest.param(
        "Kim jogs for 40 minutes at 6 km an hour. How far does she jog?",
        "She jogs 40/60*6 = <<40/60*6=4>>4 km.\n#### 4",
        {"n1": 50},
        "Kim jogs for 50 minutes at 6 km an hour. How far does she jog?",
        "She jogs 50 / 60 × 6 = 5 km.",
        id="a unit of time is a constant, and what stands at 'at' stays",
    ),
    pytest.param(
        "Eva buys an 80-page pad for $3 and 24 pens for $1,200. How much is that?",
        "It is 3+1200 = $<<3+1200=1203>>1203.\n#### 1203",
        {"n2": 4, "n4": 1500},
        "Eva buys an 80-page pad for $4 and 24 pens for $1,500. How much is that?",
        "It is 4 + 1500 = 1504.",
        id="unused numbers stay, thousands keep their comma",
    ),
    pytest.param(
        "Lea reads an 80-page book in 4 evenings. How many pages is that?",
        "Each evening 80 / 4 = <<80/4=20>>20.\n#### 20",
        {"n1": 60},
        "Lea reads a 60-page book in 4 evenings. How many pages is that?",
        "Each evening 60 / 4 = 15.",
        id="the article follows the number",
    ),
    pytest.param(
        "Jo has 50 beads and uses 30 of them and then 12. How many are left?",
        "She uses 30 + 12 = 42 beads.\nSo there are 50-42=<<50-42=8>>8 left.\n#### 8",
        {"n1": 60, "n2": 35, "n3": 20},
        "Jo has 60 beads and uses 35 of them and then 20. How many are left?",
        "She uses 35 + 20 = 55 beads.\nSo there are 60 - 55 = 5 left.",
        id="an equation without annotation",
    ),
    pytest.param(
        "A spray kills 40% of the germs and a second one 25%. What part of the germs stays, in percent?",
        "After the first, 100-40=<<100-40=60>>60% stay.\nIn the end 60-25=<<60-25=35>>35 stay.\n#### 35",
        {"n1": 50, "n3": 20},
        "A spray kills 50% of the germs and a second one 20%. What part of the germs stays, in percent?",
        "100 - 50 = 50.\nIn the end 50 - 20 = 30 stay.",
        id="no equation ends in a percent sign",
    ),
    pytest.param(
        "Ida sells 20 cups for $3 each. What does she get?",
        "She sold 18 cups in fact: 20*3 = <<20*3=60>>60\n#### 60",
        {"n1": 30, "n2": 4},
        "Ida sells 30 cups for $4 each. What does she get?",
        "30 × 4 = 120.",
        id="a sentence with a number of its own is given up",
    ),
    pytest.param(
        "Ida buys 40 cups for $3 each and pays $6 tax. What does she pay?",
        "They cost 40*3 = $<<40*3=120>>120.\nShe pays 120+6 = $<<120+6=126>>126. including the tax.\n#### 126",
        {"n1": 60, "n2": 4, "n3": 9},
        "Ida buys 60 cups for $4 each and pays $9 tax. What does she pay?",
        "They cost 60 × 4 = 240.\nShe pays 240 + 9 = 249 including the tax.",
        id="no full stop stands inside a sentence",
    ),
]

NOT_LIFTED = [
    pytest.param("5 hats. 2 go?", "3 stay.\n#### 3", "read", "no-annotation", id="no annotation"),
    pytest.param("5 hats?", "5-2=<<5-2=3>>3", "read", "no-final-answer", id="no final answer"),
    pytest.param("20 by 3?", "<<20/3=6.67>>6.67\n#### 6.67", "annotated", "inexact", id="a rounded result"),
    pytest.param("a 5?", "<<a-5=3>>3\n#### 3", "annotated", "not-arithmetic", id="a letter in an annotation"),
    pytest.param(
        "Jo has 50 beads and uses 30. How many are left?",
        "50-30=<<50-30=20>>20\n#### 21",
        "annotated",
        "final-answer-differs",
        id="another final answer",
    ),
    pytest.param(
        "Jo has 50 beads. How many can she string?",
        "50-13=<<50-13=37>>37\n#### 37",
        "reproduced",
        "number-without-origin",
        id="a number from nowhere",
    ),
    pytest.param(
        "Jo has 50 beads, Al 20. How many does Jo have more?",
        "50+20=<<50+20=70>>70\n50-20=<<50-20=30>>30\n#### 30",
        "reproduced",
        "unused-result",
        id="a result that nothing uses",
    ),
    pytest.param(
        "Tom has 9 hats and 9 pens. Each hat has 9 dots. How many dots?",
        "9 * 9 = <<9*9=81>>81\n#### 81",
        "unambiguous",
        "nothing-free",
        id="equal numbers",
    ),
    pytest.param(
        "There are 30 pupils, 18 girls and 12 boys. A girl gets 5 pens, a boy 4 pens. How many pens?",
        "18*5=<<18*5=90>>90\n12*4=<<12*4=48>>48\n90+48=<<90+48=138>>138\n#### 138",
        "unambiguous",
        "nothing-free",
        id="numbers that make up a total",
    ),
    pytest.param(
        "Ed earns $10 an hour and $15 an hour for overtime. He works 20 hours and 5 hours overtime. What does he earn?",
        "10*20=<<10*20=200>>200\n15*5=<<15*5=75>>75\n200+75=<<200+75=275>>275\n#### 275",
        "unambiguous",
        "threshold",
        id="a threshold",
    ),
    pytest.param(
        "Sam has 40 pens, which is twice as many as Joe. Al has 60 pens. How many have Sam and Al?",
        "40+60=<<40+60=100>>100\n#### 100",
        "unambiguous",
        "unused-relation",
        id="a relation that the calculation does not use",
    ),
    pytest.param(
        "A cake takes 4 eggs and 200 g of flour. Mo has 40 eggs and 9000 g of flour. How many cakes can he bake?",
        "40/4=<<40/4=10>>10\n#### 10",
        "unambiguous",
        "unused-limit",
        id="a supply that may become the scarcest",
    ),
    pytest.param(
        "Five vans come. Each van carries 28 people, 60 of whom are boys. How many are girls?",
        "5*28=<<5*28=140>>140\n140-60=<<140-60=80>>80\n#### 80",
        "unambiguous",
        "part-exceeds-whole",
        id="a part larger than what its sentence names",
    ),
]


@pytest.mark.parametrize(("question", "answer", "values", "child", "solution"), LIFTED)
def test_a_lifted_record_gives_a_child(question, answer, values, child, solution):
    lifted = lift(question, answer)
    assert isinstance(lifted, Lift)
    exact = {name: Fraction(value) for name, value in values.items()}
    assert set(exact) == {p.name for p in lifted.parameters}
    assert lifted.admissible(exact) is None
    assert lifted.render_question(exact) == child
    assert lifted.render_solution(exact) == solution


@pytest.mark.parametrize(("question", "answer", "stage", "reason"), NOT_LIFTED)
def test_a_doubtful_record_is_not_lifted(question, answer, stage, reason):
    assert lift(question, answer) == NotLifted(stage, reason)


KEPT = [
    pytest.param("He has 7 bills of 5 dollars.", "7*5=<<7*5=35>>35\n#### 35", {"n2"}, id="a banknote"),
    pytest.param(
        "Al eats 3 nuts in 20 minutes. How long do 270 nuts take, in hours?",
        "3/(1/3)=<<3/(1/3)=9>>9\n270/9=<<270/9=30>>30\n#### 30",
        {"n1", "n2"},
        id="a number that two quantities share",
    ),
    pytest.param(
        "A deck of cards has 54 cards. Bo has 30 decks. How many cards?",
        "54*30=<<54*30=1620>>1620\n#### 1620",
        {"n1"},
        id="a deck of cards",
    ),
    pytest.param(
        "Al plays 20 songs a day, but in June not on the 8 weekend days. How many songs does he play?",
        "30-8=<<30-8=22>>22\n22*20=<<22*20=440>>440\n#### 440",
        {"n2"},
        id="the weekend days of a month",
    ),
]


@pytest.mark.parametrize(("question", "answer", "kept"), KEPT)
def test_risky_numbers_keep_their_value(question, answer, kept):
    lifted = lift(question, answer)
    if isinstance(lifted, Lift):
        free = {p.name for p in lifted.parameters}
        assert not free & kept


GUARDED = [
    pytest.param({"n1": 20, "n2": 30, "n3": 6}, "sign-changes", id="more is used than there is"),
    pytest.param({"n1": 60, "n2": 30, "n3": 7}, "not-whole", id="half a bag"),
    pytest.param({"n1": 50, "n2": 10, "n3": 20}, "order-changes", id="a rank that turns round"),
    pytest.param({"n1": 10_000, "n2": 30, "n3": 6}, "outside-domain", id="too large"),
]


@pytest.mark.parametrize(("values", "slug"), GUARDED)
def test_guards_forbid_values(values, slug):
    lifted = lift(
        "Jo has 50 beads and uses 20. She puts the rest into bags of 6. How many bags are there?",
        "50-20=<<50-20=30>>30\n30/6=<<30/6=5>>5\n#### 5",
    )
    assert isinstance(lifted, Lift)
    assert lifted.admissible({name: Fraction(value) for name, value in values.items()}) == slug


def test_a_week_keeps_its_seven_days():
    lifted = lift(
        "Tim swam 30 laps 4 times a week and then added 2 days a week. How many laps does he swim now?",
        "4+2=<<4+2=6>>6\n6*30=<<6*30=180>>180\n#### 180",
    )
    assert isinstance(lifted, Lift)
    assert lifted.admissible({"n1": Fraction(35), "n2": Fraction(5)}) is None
    assert lifted.admissible({"n1": Fraction(35), "n2": Fraction(6)}) == "above-ceiling"


LARGEST = [
    pytest.param(
        "Bo works 30 hours a week for $9 an hour. What does he earn a week?", "30*9", 30, 270, 60, id="hours a week"
    ),
    pytest.param(
        "In May and June Bo worked 90 hours for $9 an hour. What did he earn?", "90*9", 90, 810, 250, id="of a month"
    ),
    pytest.param(
        "Bo files 25 forms an hour. How many is that in an 8-hour day?", "8*25", 8, 200, 12, id="an 8-hour day"
    ),
    pytest.param(
        "A bucket with 300 ml of brine is 20% salt. How much salt is that?", "20/100*300", 20, 60, 32, id="brine"
    ),
    pytest.param("A meal costs $300. Bo adds a 20% tip. How much is the tip?", "20/100*300", 20, 60, 32, id="a tip"),
    pytest.param("A hat costs $300. The sales tax is 20%. How much is the tax?", "20/100*300", 20, 60, 32, id="a tax"),
    pytest.param(
        "A hat for $300 has a 20% discount. How much is the discount?", "20/100*300", 20, 60, 75, id="a discount"
    ),
    pytest.param("13 years of school cost $300 each. What do they cost?", "13*300", 13, 3900, 20, id="years of school"),
]


@pytest.mark.parametrize(("question", "sum_", "first", "gold", "most"), LARGEST)
def test_hours_and_rates_stay_possible(question, sum_, first, gold, most):
    found = lift(question, f"{sum_}=<<{sum_}={gold}>>{gold}\n#### {gold}")
    assert isinstance(found, Lift)
    parameter = next(p for p in found.parameters if p.value == first)
    assert first < max(span.high for span in parameter.domains if span.size) <= most


DAYS = [
    pytest.param(
        "On Friday Bo saw 4 hours of a show, on Saturday 7. It takes 30 hours. How many hours does he see on Sunday?",
        "4+7=<<4+7=11>>11\n30-11=<<30-11=19>>19\n#### 19",
        id="what is left for a day",
    ),
    pytest.param(
        "Al sleeps 7 hours a night, Bo 2 hours more, and the younger cat twice as long as Bo. How long does it sleep?",
        "7+2=<<7+2=9>>9\n9*2=<<9*2=18>>18\n#### 18",
        id="a sleep",
    ),
]


@pytest.mark.parametrize(("question", "answer"), DAYS)
def test_a_day_keeps_its_24_hours(question, answer):
    found = lift(question, answer)
    assert not isinstance(found, Lift) or found.guards.ceiling == 24


def test_nobody_teaches_for_a_hundred_years():
    found = lift(
        "Jo taught maths for 4 years and music 5 times as long. How many years has Jo taught?",
        "4*5=<<4*5=20>>20\n4+20=<<4+20=24>>24\n#### 24",
    )
    assert isinstance(found, Lift)
    assert found.guards.ceiling == 60


def test_the_funnel_of_the_shipped_records_narrows():
    reached = Counter(
        found.stage if isinstance(found, NotLifted) else "lifted"
        for found in (lift(r["question"], r["answer"]) for r in RECORDS)
    )
    assert set(reached) <= set(STAGES)
    counts = [sum(reached[later] for later in STAGES[place:]) for place in range(len(STAGES))]
    assert counts[0] == len(RECORDS) == 500
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 230


def test_the_shipped_records_are_the_first_of_the_train_file():
    assert [r["idx"] for r in RECORDS] == list(range(500))
    licence = (files("dsgen.seeds.data") / "GSM8K_LICENSE.txt").read_text(encoding="utf-8")
    assert "MIT License" in licence and "OpenAI" in licence
