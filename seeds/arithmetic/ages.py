"""Ages now and some years from now: one unknown, one linear equation."""

from dsgen.pipeline.core.space import Integer, Names
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Ages(Template):
    version = 2

    people = Names(2)
    now = Integer(3, 9, harder=(6, 16))
    later = Integer(2, 5, harder=(2, 9))
    years = Integer(2, 36)

    facts = (
        "{people[0]} is exactly {now} times as old as {people[1]}. "
        "In {years} years {people[0]} will be exactly {later} times as old as {people[1]} will be then."
    )
    question = "How many years old is {people[0]} now?"
    result_text = "{people[0]} is {answer} years old now."

    def where(self, now: int, later: int, years: int) -> bool:
        if later >= now:
            return False
        young, rest = divmod(years * (later - 1), now - later)
        return rest == 0 and young > 1 and now * young + years <= 110

    def solve(self, t: Trace, now: Quantity, later: Quantity, years: Quantity) -> Quantity:
        t.say("Let a be the age of {people[1]} now. Then {people[0]} is now {now} × a years old.")
        t.say("In {years} years: {now} × a + {years} = {later} × (a + {years}).")
        right = t.step("Multiplied out, the number on the right is {}.", later * years, role="form_equation")
        gap = t.step("Taking {years} from both sides leaves the number {} on the right.", right - years)
        times = t.step("On the left, taking {later} × a from both sides leaves a with the factor {}.", now - later)
        young = t.step("So {people[1]} is a = {} years old.", gap / times, role="solve_linear")
        t.let("a", young)
        return t.step("{people[0]} is {} years old now.", now * young, role="compare_relation")

    def check(self, now: int, later: int, years: int) -> int:
        (young,) = (a for a in range(1, 111) if now * a + years == later * (a + years))
        return now * young
