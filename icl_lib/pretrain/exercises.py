"""The exercises of pre-training: prompts about generic pictures, and the right answers."""

import numpy as np

from icl_lib.data.standin import describe, phrases
from icl_lib.data.standin import facts as facts_standin
from icl_lib.data.standin.attributes import VALUES, draw_value, settle
from icl_lib.mllm.prompts import Prompts
from icl_lib.pretrain.world import GenericSet

TASKS = ("match", "vqa", "aggregate", "decompose", "rewrite")


def _near_twins(data: GenericSet) -> dict[int, list[int]]:
    """Find, for each person, the eight people who share most attributes with them."""
    first = {int(p): data.truth[i] for i, p in reversed(list(enumerate(data.person)))}
    names = [n for n in VALUES if n not in ("action", "background", "bystanders")]
    table = np.array([[hash_value(first[p][n]) for n in names] for p in sorted(first)], np.int32)
    out = {}
    for row, p in enumerate(sorted(first)):
        same = (table == table[row]).sum(1)
        same[row] = -1
        out[p] = (
            np.argpartition(-same, 8)[:8].tolist()
            if len(same) > 8
            else [q for q in range(len(same)) if q != row]
        )
    return out


def contradictions(facts: dict, truth: dict, seen: set) -> int:
    """Count the facts that the visible truth contradicts."""
    return sum(n in seen and truth[n] != v for n, v in facts.items())


class Exercises:
    """Draws exercises (prompt, answer), worded as in `prompts`, about the pictures of `data`."""

    def __init__(self, data: GenericSet, prompts: Prompts):
        self.data, self.prompts = data, prompts
        self.members = {}
        for i, person in enumerate(data.person):
            self.members.setdefault(int(person), []).append(i)
        self.near = _near_twins(data)

    def caption(self, facts: dict, rng) -> str:
        """Write a text of these facts: 80% in the generic grammar, 20% in canonical form."""
        return (
            describe.merged(facts)
            if rng.random() < 0.2
            else describe.caption(facts, rng, "generic")
        )

    def facts(self, i: int, rng) -> dict:
        """Draw facts of picture i: as in a caption (60%), all visible (25%) or one group (15%)."""
        truth, seen, kind = self.data.truth[i], self.data.seen[i], rng.random()
        if kind < 0.6:
            return facts_standin.choose_facts(truth, seen, rng)
        return (
            facts_standin.merge_facts({"sex": truth["sex"]}, truth, seen)
            if kind < 0.85
            else self.statement(i, rng)
        )

    def statement(self, i: int, rng) -> dict:
        """Draw the facts of picture i about one thing, and the sex."""
        truth = self.data.truth[i]
        everything = facts_standin.merge_facts({"sex": truth["sex"]}, truth, self.data.seen[i])
        group = rng.choice(
            [g for g in phrases.GROUPS if any(n in everything for n in phrases.GROUPS[g])]
        )
        return {
            "sex": truth["sex"],
            **{n: everything[n] for n in phrases.GROUPS[group] if n in everything},
        }

    def match(self, i: int, rng, hard: float = 1.0) -> tuple[str, str]:
        """Draw an exercise of T_loc: does a text fit picture i?

        The text states facts of this picture, of a person who looks nearly the same, of another
        person, or of this picture with one to three facts changed.

        Args:
            i: index of the picture.
            rng: source of randomness.
            hard: 0 takes most wrong texts from other people, 1 most from look-alikes and changes.
        """
        kind = rng.random()
        if kind < 0.46:
            facts = self.facts(i, rng)
        elif kind < 0.52 + 0.16 * hard:
            twin = rng.choice(self.near[int(self.data.person[i])])
            facts = self.facts(rng.choice(self.members[twin]), rng)
        elif kind < 0.94 - 0.16 * hard:
            facts = self.facts(rng.randrange(len(self.data.truth)), rng)
        else:
            facts = self.facts(i, rng)
            for name in rng.sample(sorted(facts), min(rng.randint(1, 3), len(facts))):
                facts[name] = rng.choice(
                    [v for v in VALUES[name][0] if v not in ("none", "nothing", "nobody")]
                )
        fits = contradictions(facts, self.data.truth[i], self.data.seen[i]) == 0
        return self.prompts.ask_match(self.caption(facts, rng)), "Yes" if fits else "No"

    def vqa(self, i: int, rng) -> tuple[str, str]:
        """Draw an exercise of T_vqa about picture i: fifteen numbered answers."""
        lines = describe.answers(self.data.truth[i], self.data.seen[i])
        return self.prompts.ask_answers(), "\n".join(
            f"{n}. {line}" for n, line in enumerate(lines, 1)
        )

    def aggregate(self, i: int, rng) -> tuple[str, str]:
        """Draw an exercise of T_aggr: a caption, and answers that mostly agree with it."""
        truth, seen = dict(self.data.truth[i]), self.data.seen[i]
        said = (
            facts_standin.choose_facts(truth, seen, rng)
            if rng.random() < 0.9
            else self.facts(i, rng)
        )
        # The answers about the picture may be wrong.
        for name in rng.sample(sorted(VALUES), rng.randint(0, 12)):
            truth[name] = draw_value(name, rng)
        truth = settle(truth)
        answers = dict(zip(self.prompts.names, describe.answers(truth, seen), strict=True))
        return self.prompts.ask_merged(answers, self.caption(said, rng)), describe.merged(
            facts_standin.merge_facts(said, truth, seen)
        )

    def decompose(self, i: int, rng) -> tuple[str, str]:
        """Draw an exercise of T_dec on a canonical text (80%) or a caption."""
        facts = (
            facts_standin.merge_facts(self.facts(i, rng), self.data.truth[i], self.data.seen[i])
            if rng.random() < 0.6
            else self.facts(i, rng)
        )
        text = (
            describe.merged(facts)
            if rng.random() < 0.8
            else describe.caption(facts, rng, "generic")
        )
        return self.prompts.ask_parts(text), "\n".join(describe.sentences(facts))

    def rewrite(self, i: int, rng) -> tuple[str, str]:
        """Draw an exercise of T_rwt: three to five rewritings of one canonical sentence."""
        facts = self.facts(i, rng)
        groups = [g for g in phrases.GROUPS if any(n in facts for n in phrases.GROUPS[g])]
        if not groups:
            return self.decompose(i, rng)
        group, count = rng.choice(groups), rng.choice([3, 3, 4, 5])
        lines = list(dict.fromkeys(describe.sentence(group, facts, rng) for _ in range(3 * count)))[
            :count
        ]
        return self.prompts.ask_rewritten(describe.sentence(group, facts), count), "\n".join(lines)


def hash_value(value: str) -> int:
    """Hash a value to a number that is the same in every process, unlike Python's own hash."""
    return sum(ord(c) * 31**k for k, c in enumerate(value[:6])) % 2_000_003
