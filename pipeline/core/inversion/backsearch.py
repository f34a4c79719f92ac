"""Worked solutions for hidden parameters that cannot be calculated back: residues, and trying all values."""

from __future__ import annotations

from collections.abc import Sequence

from dsgen.pipeline.core.arith import LEAVES
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.inversion.backward import Backward
from dsgen.pipeline.core.inversion.frames import SLOT, opened
from dsgen.pipeline.core.inversion.inverse import Route, dependents, leaves_of
from dsgen.pipeline.core.inversion.linear import Linear, times
from dsgen.pipeline.core.inversion.preimage import Try
from dsgen.pipeline.core.trace import Quantity


def listing(values: Sequence[Exact], last: str = "and") -> str:
    """Values in words: ``2, 5 and 8``."""
    shown = [show(v) for v in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def try_all(work: Backward, name: str, tries: Sequence[Try], fitting: Sequence[Exact]) -> Quantity:
    """Casework: every value of the domain is put in; what fits is the answer."""
    symbol, given = work.symbol, show(work.result.value)
    shared: dict[str, Quantity] = {}
    for index in work.bearing:
        if not work.depends[index] and index in work.stated_by and work.nodes[index].op not in LEAVES:
            quantity = work.here[index]
            shared[work.equation(quantity)] = quantity
    work.say(f"There are only {len(tries)} values that {symbol} can have, so each of them is tried.")
    found: list[Quantity] = []
    for value, derivation, obstacle in tries:
        if derivation is None:
            work.say(f"Trying {show(value)}: not possible ({obstacle}).")
            continue
        trial, equations, outcome = _run(work, name, derivation, value, shared)
        fits = work.make("eq", (outcome, work.result), (), "case_split")
        ending = "which fits" if fits.value else f"not {given}"
        shown = [e for e in equations[:-1] if "=" in e] + equations[-1:]
        work.say(f"Trying {show(value)}: {'; '.join(shown)}, {ending}.", fits)
        if fits.value:
            found.append(work.make("mul", (trial, fits), trial.unit))
    if len(fitting) == 1:
        work.say(f"Only {show(fitting[0])} fits, so {symbol} = {show(fitting[0])}.", found[0])
        return found[0]
    answer = work.make("set", found, ())
    work.say(f"So {symbol} can be {listing(fitting, 'or')}, and nothing else.", answer)
    return answer


def _run(
    work: Backward, name: str, derivation: Derivation, value: Exact, shared: dict[str, Quantity]
) -> tuple[Quantity, list[str], Quantity]:
    """The calculation for one value: the trial, its equations and the outcome. What was said before is not repeated."""
    leaves = leaves_of(derivation, name)
    depends = dependents(derivation.nodes, leaves)
    stated = {step.node for step in derivation.steps}
    here: dict[int, Quantity] = {}
    trial = work.tape.const(value)
    equations = []
    for index in derivation.load_bearing():
        node = derivation.nodes[index]
        if index in leaves:
            here[index] = trial
            continue
        quantity = work.push(node._replace(inputs=tuple(here[i].index for i in node.inputs)))
        if index in stated or index == derivation.answer:
            text = work.equation(quantity)
            work.tape.stated.add(quantity.index)
            if not depends[index] and text in shared:
                quantity = shared[text]
            else:
                equations.append(text)
                if not depends[index]:
                    shared[text] = quantity
        here[index] = quantity
    return trial, equations or [work.equation(here[derivation.answer])], here[derivation.answer]


def by_residues(work: Backward, way: Route, known: Quantity, fitting: Sequence[Exact], bounds: str) -> Quantity:
    """Solve a linear congruence: only remainders are followed, and the values in the domain are counted off."""
    nodes, symbol = work.nodes, work.symbol
    modulus = work.graft(nodes[way.end].inputs[1])
    m = show(modulus.value)
    work.say(f"Only remainders modulo {m} matter.")
    slope, rest = _follow(work, way.end, modulus)
    if rest.value == 0:
        target = known
        work.say(f"So {times(slope.value, symbol)} must leave the remainder {show(target.value)} modulo {m}.")
    else:
        target = work.make("mod", (work.make("sub", (known, rest), ()), modulus), ())
        work.say(
            f"So {times(slope.value, symbol)} must leave the remainder {work.equation(target)} modulo {m}.", target
        )
    common = work.make("gcd", (slope, modulus), ())
    if common.value == 1:
        small = modulus
    else:
        work.say(f"Dividing by {work.equation(common)}:", common)
        slope = work.make("div", (slope, common), ())
        target = work.make("div", (target, common), ())
        small = work.make("div", (modulus, common), ())
        lines = [work.equation(q) for q in (slope, target, small)]
        for q in (slope, target):
            work.tape.stated.add(q.index)
        work.say(f"{lines[0]}, {lines[1]} and {lines[2]}, so {times(slope.value, symbol)} must leave "
                 f"the remainder {show(target.value)} modulo {show(small.value)}.", small)  # fmt: skip
    n = show(small.value)
    if slope.value != 1:
        inverse = work.make("modinv", (slope, small), (), "modinv")
        check = work.make("mod", (work.make("mul", (inverse, slope), ()), small), ())
        work.tape.stated.add(inverse.index)
        work.say(f"The inverse of {show(slope.value)} modulo {n} is {show(inverse.value)}, because "
                 f"{work.equation(check)}.", inverse)  # fmt: skip
        target = work.make("mod", (work.make("mul", (target, inverse), ()), small), (), "mod_reduce")
        work.say(f"So {symbol} leaves the remainder {work.equation(target)} modulo {n}.", target)
    else:
        work.say(f"So {symbol} leaves the remainder {show(target.value)} modulo {n}.", target)
    found = [_count_off(work, target, small, value) for value in fitting]
    if len(found) == 1:
        work.say(f"{bounds} Only {show(fitting[0])} leaves this remainder, so {symbol} = {show(fitting[0])}.", found[0])
        return found[0]
    answer = work.make("set", found, ())
    work.say(f"{bounds} The numbers with this remainder are {listing(fitting)}.", answer)
    return answer


def _count_off(work: Backward, residue: Quantity, step: Quantity, value: Exact) -> Quantity:
    times = (value - residue.value) // step.value
    if times == 0:
        return residue
    return work.make("add", (residue, work.make("mul", (work.tape.const(times), step), ())), ())


def _follow(work: Backward, end: int, modulus: Quantity) -> tuple[Quantity, Quantity]:
    """The coefficients of the line, modulo the modulus, that the node at the end is; stated on the way."""
    tape = work.tape
    lines: dict[int, tuple[Quantity, Quantity]] = {}
    zero, one = tape.const(0), tape.const(1)
    for index in work.bearing:
        if index > end:
            break
        node = work.nodes[index]
        if index in work.leaves:
            lines[index] = (one, zero)
            continue
        if not work.depends[index]:
            lines[index] = (zero, work.graft(index))
            continue
        parts = [lines[i] for i in node.inputs]
        if node.op == "mod":
            parts = parts[:1]
            if work.nodes[node.inputs[1]].value != modulus.value:  # only ever reduced to a divisor of it
                lines[index] = parts[0]
                continue
        slope, rest = parts[0]
        if node.op in ("add", "sub", "sum"):
            for other in parts[1:]:
                op = "sub" if node.op == "sub" else "add"
                slope, rest = _do(work, op, slope, other[0]), _do(work, op, rest, other[1])
        elif node.op == "neg":
            slope, rest = work.make("neg", (slope,), ()), work.make("neg", (rest,), ())
        elif node.op == "mul":
            if slope.value == 0 and not work.depends[node.inputs[0]]:
                (slope, rest), factor = parts[1], rest
            else:
                factor = parts[1][1]
            slope, rest = _do(work, "mul", slope, factor), _do(work, "mul", rest, factor)
        if index in work.stated_by or index == end:
            slope, rest = _reduced(work, slope, modulus), _reduced(work, rest, modulus)
            texts = [work.equation(q) for q in (slope, rest)]
            frame = work.frames[work.stated_by[index]] if index in work.stated_by else None
            expression = Linear(slope, rest).write(work.symbol)
            if frame and f"= {SLOT}" in frame:
                frame = f"The next number is {SLOT}."
            elif frame:
                work.lead_in(index)
            told = (frame or f"The next number is {SLOT}.").replace(SLOT, f"{expression} modulo {show(modulus.value)}")
            reasons = " and ".join(t for t in texts if "=" in t)
            work.say(opened(told).removesuffix(".") + (f", because {reasons}." if reasons else "."))
            tape.stated.add(slope.index)
            tape.stated.add(rest.index)
        lines[index] = (slope, rest)
    return lines[end]


def _do(work: Backward, op: str, left: Quantity, right: Quantity) -> Quantity:
    if op in ("add", "sub") and right.value == 0:
        return left
    if op == "add" and left.value == 0:
        return right
    if op == "mul" and (left.value == 0 or right.value == 1):
        return left
    if op == "mul" and left.value == 1:
        return right
    return work.make(op, (left, right), ())


def _reduced(work: Backward, quantity: Quantity, modulus: Quantity) -> Quantity:
    if 0 <= quantity.value < modulus.value:
        return quantity
    return work.make("mod", (quantity, modulus), (), "mod_reduce")
