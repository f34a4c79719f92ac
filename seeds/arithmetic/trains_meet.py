"""Two trains on one line, the second leaving later: when do they meet, and where?"""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TrainsMeet(Template):
    towns = Choice(("Aston", "Burley"), ("Kestrel", "Linden"), ("Marsh", "Norwell"), ("Orton", "Pembury"))
    speed = Integer(40, 95, unit="km/h", harder=(96, 160))
    other_speed = Integer(45, 110, unit="km/h", harder=(97, 170))
    start = Integer(2, 4, unit="h", harder=(3, 6))
    hours = Integer(2, 6, unit="h", harder=(5, 11))
    distance = Derived(
        lambda speed, other_speed, start, hours: speed * (start + hours) + other_speed * hours, unit="km"
    )

    facts = (
        "The railway from {towns[0]} to {towns[1]} is {distance} km long. A freight train leaves {towns[0]} for "
        "{towns[1]} at {speed} km/h. After it has travelled for {start} hours, an express leaves {towns[1]} for "
        "{towns[0]} on the parallel track at {other_speed} km/h."
    )
    question = "How many kilometres from {towns[0]} do the two trains pass each other?"

    def where(self, speed: int, other_speed: int) -> bool:
        return speed < other_speed

    def solve(self, t: Trace, speed: Quantity, other_speed: Quantity, start: Quantity, distance: Quantity) -> Quantity:
        ahead = t.step("When the express leaves, the freight train has covered {}.", speed * start, role="rate_apply")
        gap = t.step("So the trains are then {} apart.", distance - ahead)
        closing = t.step("They approach each other at {}.", speed + other_speed, role="rate_sum")
        meet = t.step("They meet after another {}.", gap / closing, role="rate_apply")
        return t.step(
            "The freight train has then covered its first stretch and what it runs until the meeting: {}.",
            ahead + speed * meet,
            role="rate_apply",
        )

    def check(self, speed: int, other_speed: int, start: int, distance: int) -> int:
        left, right, clock = 0, distance, 0
        while left < right:
            left += speed
            right -= other_speed if clock >= start else 0
            clock += 1
        return left
