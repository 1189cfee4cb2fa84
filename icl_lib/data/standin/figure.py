"""Draws one person from attributes: legs, torso, arms and head, bag, and what the hands hold."""

import random

from icl_lib.data.standin import carried
from icl_lib.data.standin.arms import arm
from icl_lib.data.standin.body import Body, colours_of
from icl_lib.data.standin.head import head
from icl_lib.data.standin.legs import legs
from icl_lib.data.standin.pen import Pen, woven
from icl_lib.data.standin.torso import torso


def draw_person(
    pen: Pen, person: dict, view: str, rng: random.Random, width: float = 1.0, plain: bool = False
) -> None:
    """Draw one person where the pen stands, from what is farthest away to what is nearest.

    Args:
        pen: Draws in body coordinates.
        person: Attribute -> value, the action included, as `attributes.settle` leaves them.
        view: "front", "side" or "back".
        rng: Draws the pose.
        width: Breadth of the body relative to the average.
        plain: Leave out the pattern of the clothes, as for bystanders.
    """
    walking = person["action"] == "walking"
    body = Body(person, view, rng.uniform(0.55, 1.0) if walking else rng.uniform(0, 0.12), width)
    pen.colours = colours_of(person)
    if not plain:
        body.cloth = woven(pen.image.size, pen.colours["upper"], person["pattern"], pen.scale)
    behind, below_arms, above_arms = carried.bag(body)
    figure = legs(body, rng)
    if body.side:
        figure += arm(body, -1) + behind + torso(body) + below_arms + arm(body, 1)
    else:
        first = -1 if rng.random() < 0.5 else 1
        figure += torso(body) + below_arms + arm(body, first) + arm(body, -first)
    pen.shapes(figure + above_arms + head(body) + carried.held(body))
