"""A model and the real thing: how volumes grow with the scale."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class ScaleModel(Template):
    thing = Choice("aquarium", "water tank", "shipping crate", "grain bin")
    length = Integer(20, 60, step=10, unit="cm", harder=(50, 90))
    width = Integer(10, 40, step=10, unit="cm", harder=(40, 80))
    height = Integer(10, 50, step=10, unit="cm", harder=(40, 90))
    scale = Integer(2, 9, harder=(6, 25))

    facts = (
        "The model of a box-shaped {thing} is {length} cm long, {width} cm wide and {height} cm high inside. "
        "The real {thing} is {scale} times as long, {scale} times as wide and {scale} times as high."
    )
    question = "How many litres more than the model does the real {thing} hold?"
    result_text = "The real {thing} holds {answer} litres more than the model."

    def where(self, length: int, width: int) -> bool:
        return width <= length

    def solve(self, t: Trace, length: Quantity, width: Quantity, height: Quantity, scale: Quantity) -> Quantity:
        volume = t.step("The model has a volume of {}.", length * width * height, role="volume")
        litres = t.step("A litre is 1000 cubic centimetres: {}.", volume / t.const(1000, "cm^3/L"), role="unit_convert")
        times = t.step("All three measures grow, so the volume grows by the factor {}.", scale**3, role="scale")
        real = t.step("The real {thing} holds {}.", litres * times, role="scale")
        return t.step("The difference is {}.", real - litres)

    def check(self, length: int, width: int, height: int, scale: int) -> int:
        real = (length * scale // 10) * (width * scale // 10) * (height * scale // 10)
        return real - length * width * height // 1000
