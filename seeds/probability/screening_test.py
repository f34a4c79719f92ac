"""What a positive test means: Bayes' rule with counts of people."""

from fractions import Fraction

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class ScreeningTest(Template):
    version = 2

    what = Choice(
        ("people", "in a town", "infected"),
        ("phones", "from a factory", "faulty"),
        ("coins", "in a hoard", "forged"),
        ("messages", "in a mailbox", "unwanted"),
        ("apples", "in a harvest", "wormy"),
    )
    share = Integer(2, 12, harder=(1, 20))
    caught = Integer(70, 98)
    false = Integer(2, 15, harder=(2, 25))

    facts = (
        "Of the {what[0]} {what[1]}, {share}% are {what[2]}. A test comes out positive for {caught}% of the {what[2]} "
        "ones, but also for {false}% of the others."
    )
    question = (
        "One of the {what[0]}, chosen at random, tests positive. What is the probability that this one is {what[2]}? "
        "Give an exact fraction."
    )
    result_text = (
        "One of the {what[0]}, chosen at random, tests positive. The probability that this one is {what[2]} is exactly "
        "{answer}."
    )

    def solve(self, t: Trace, share: Quantity, caught: Quantity, false: Quantity) -> Quantity:
        all_of_them = t.const(10000)
        t.say("Imagine {all} {what[0]}, in the given proportions.", all=all_of_them)
        bad = t.step("The number of {what[2]} ones is {}.", all_of_them * share / 100, role="percent_apply")
        good = t.step("The number of the others is {}.", all_of_them - bad)
        hits = t.step("The test is rightly positive for {} {what[2]} ones.", bad * caught / 100, role="percent_apply")
        alarms = t.step("The test is wrongly positive for {} of the others.", good * false / 100, role="percent_apply")
        positive = t.step("In all, {} test positive.", hits + alarms)
        return t.step(
            "Among those with a positive test, the share of {what[2]} ones is {}.", hits / positive, role="bayes"
        )

    def check(self, share: int, caught: int, false: int) -> Fraction:
        # Odds: prior odds times the likelihood ratio.
        odds = Fraction(share, 100 - share) * Fraction(caught, false)
        return odds / (1 + odds)
