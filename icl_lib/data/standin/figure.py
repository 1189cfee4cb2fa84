"""Draws one figure: limbs, garments, hair, bags and what the hands hold, from attributes alone.

The figure stands in its own coordinates: x to the right in units of body height from the body's axis, y upwards from
the soles (0) to the crown (1).
"""

import random

from icl_lib.data.standin.attributes import COLOURS, HAIR, SKIN
from icl_lib.data.standin.pen import _cloth, shade


def draw_person(pen, t, view, rng, detailed=True):
    """Draw one person with the attributes `t`; `view` is front, side or back (side faces the pen's flip)."""
    side, back, w = view == "side", view == "back", pen.width
    own = random.Random(t.get("shade", 0))  # the person's own shades: the same in every picture
    tint = lambda name, table=COLOURS: tuple(
        max(0, min(255, c + own.randint(-13, 13))) for c in table[name]
    )
    skin, hair = SKIN[t["skin"]], tint(t["hair_colour"], HAIR)
    top, low, shoe = tint(t["upper_colour"]), tint(t["lower_colour"]), tint(t["shoes_colour"])
    bag = tint(t["bag_colour"]) if t["bag"] != "none" else None
    hat = tint(t["hat_colour"]) if t["hat"] != "none" else None
    scarf = tint(t["scarf"]) if t["scarf"] != "none" else None
    woman, walking, long_coat = t["sex"] == "woman", t["action"] == "walking", t["upper"] == "coat"
    shoulder, waist, hip = (0.098, 0.064, 0.083) if woman else (0.118, 0.082, 0.080)
    shoulder, waist, hip = (v * w * (0.62 if side else 1) for v in (shoulder, waist, hip))
    dark = lambda c, f=0.78: shade(c, f)

    # legs and feet ---------------------------------------------------------------------------------------------
    swing = rng.uniform(0.55, 1.0) if walking else rng.uniform(0, 0.12)
    apart = 0.045 * w
    if side:
        hips, ankles = (
            [(0, 0.49), (0, 0.49)],
            [(-0.14 * swing, 0.05 + 0.035 * swing), (0.13 * swing, 0.045)],
        )
    else:
        lift = 0.05 * swing if walking else 0
        hips, ankles = (
            [(-apart, 0.49), (apart, 0.49)],
            [(-apart * 1.1, 0.045 + lift), (apart * 1.1, 0.045)],
        )
        if rng.random() < 0.5:
            ankles[0], ankles[1] = (ankles[0][0], ankles[1][1]), (ankles[1][0], ankles[0][1])
    skirt, reach = (
        t["lower"] == "skirt",
        {"long": 0.06, "knee-length": 0.27, "short": 0.36}[t["lower_length"]],
    )
    for i, (h, a) in enumerate(zip(hips, ankles)):
        far = i == 0 and side
        knee = ((h[0] + a[0]) / 2 + (0.018 * swing if side else 0), 0.27 + (a[1] - 0.045) * 0.6)
        thigh_r, knee_r, ankle_r = 0.043 * w, 0.031 * w, 0.02 * w
        bare = dark(skin, 0.85) if far else skin
        pen.limb(h, knee, thigh_r, knee_r, bare)
        pen.limb(knee, a, knee_r, ankle_r, bare)
        cloth = dark(low, 0.84) if far else low
        if not skirt:
            loose = 1.16 if t["lower"] == "trousers" else 1.04
            pen.limb(
                h,
                knee,
                thigh_r * loose * 1.06,
                knee_r * loose * (1.25 if t["lower"] == "shorts" else 1.05),
                cloth,
            )
            if t["lower_length"] == "long":
                pen.limb(
                    knee, (a[0], a[1] + 0.012), knee_r * loose * 1.05, ankle_r * loose * 1.25, cloth
                )
            elif t["lower_length"] == "knee-length":
                end = (knee[0] + (a[0] - knee[0]) * 0.12, knee[1] - 0.03)
                pen.limb(knee, end, knee_r * 1.35, knee_r * 1.35, cloth)
            if t["lower"] == "jeans":
                seam = shade(low, 0.7) if sum(low) > 330 else tuple(min(255, c + 46) for c in low)
                pen.line(
                    [
                        (h[0] + 0.02 * w, 0.47),
                        (knee[0] + 0.012 * w, knee[1]),
                        (a[0] + 0.006, a[1] + 0.02),
                    ],
                    seam,
                    0.007,
                )
                pen.line(
                    [(a[0] - ankle_r * 1.2, a[1] + 0.016), (a[0] + ankle_r * 1.2, a[1] + 0.016)],
                    seam,
                    0.010,
                )
        ahead = 0.03 if side else (0.006 if i else -0.006)
        sole = a[1] - 0.042
        if t["shoes"] == "sandals":
            pen.oval(a[0] + ahead * 0.8, sole + 0.014, 0.034 if side else 0.021, 0.013, skin)
            pen.line(
                [(a[0] - 0.016 + ahead * 0.5, sole + 0.022), (a[0] + 0.02 + ahead, sole + 0.014)],
                shoe,
                0.010,
            )
            pen.line(
                [(a[0] - 0.024, sole + 0.003), (a[0] + ahead * 1.4 + 0.012, sole + 0.003)],
                shoe,
                0.010,
            )
        else:
            if t["shoes"] == "boots":
                pen.limb(
                    (a[0], a[1] + 0.085), (a[0], a[1] - 0.005), ankle_r * 1.5, ankle_r * 1.4, shoe
                )
            pen.oval(a[0] + ahead * 0.75, sole + 0.019, 0.043 if side else 0.024, 0.021, shoe)
            if t["shoes"] == "sneakers":
                pale = (236, 236, 232) if sum(shoe) < 600 else (168, 168, 170)
                pen.line(
                    [(a[0] - 0.022, sole + 0.003), (a[0] + ahead + 0.024, sole + 0.003)],
                    pale,
                    0.012,
                )
            elif t["shoes"] == "leather shoes":
                pen.oval(
                    a[0] + ahead, sole + 0.021, 0.010, 0.005, tuple(min(255, c + 70) for c in shoe)
                )
                pen.line(
                    [(a[0] - 0.022, sole + 0.002), (a[0] + ahead + 0.022, sole + 0.002)],
                    shade(shoe, 0.5),
                    0.007,
                )
    if skirt:
        flare = (1.75 if t["lower_length"] != "long" else 1.5) * max(hip, 0.075 * w)
        pen.polygon([(-hip * 0.95, 0.55), (hip * 0.95, 0.55), (flare, reach), (-flare, reach)], low)
        for f in (-0.4, 0.1, 0.5):
            pen.line([(f * hip, 0.5), (f * flare * 1.1, reach + 0.01)], dark(low, 0.86), 0.006)
    else:
        pen.polygon(
            [(-hip, 0.56), (hip, 0.56), (hip * 1.06, 0.47), (0, 0.435), (-hip * 1.06, 0.47)], low
        )

    # arms: the far one first -----------------------------------------------------------------------------------
    bare_arm, half = t["sleeves"] == "none", t["sleeves"] == "short"
    arm_swing = swing * 0.10 if walking else 0.012
    up = t["held"] in ("phone", "book", "cup") and not back
    tile = _cloth(pen.image.size, top, t["pattern"], pen.scale) if detailed else None
    hands = []

    def arm(which):
        sx = 0 if side else which * (shoulder - 0.012)
        s = (sx, 0.80)
        holds = which == 1
        if side:
            e = (sx + which * arm_swing * 0.6 - 0.01, 0.64)
            hnd = (e[0] + which * arm_swing + 0.02, 0.50)
        else:
            e = (which * (shoulder + 0.024 * w), 0.645)
            hnd = (which * (shoulder + 0.012 + (arm_swing * 0.25)), 0.495)
        if holds and up:
            e, hnd = (
                ((0.0, 0.63), (0.105, 0.66))
                if side
                else ((shoulder + 0.03, 0.645), (shoulder * 0.55, 0.665))
            )
        if holds and t["held"] == "umbrella":
            e, hnd = (
                ((0.0, 0.65), (0.075, 0.78))
                if side
                else ((shoulder + 0.05, 0.67), (shoulder + 0.035, 0.80))
            )
        r = 0.026 * w
        tone = dark(skin, 0.86) if (side and which == -1) else skin
        pen.limb(s, e, r, r * 0.86, tone)
        pen.limb(e, hnd, r * 0.86, r * 0.62, tone)
        if not bare_arm:
            grow = 1.32 if t["upper"] in ("hoodie", "coat", "jacket", "sweater") else 1.2
            sleeve = dark(top, 0.84) if (side and which == -1) else dark(top, 0.93)
            mid = ((s[0] + e[0]) / 2, (s[1] + e[1]) / 2 - 0.01)
            pen.limb(s, mid if half else e, r * grow, r * grow * 0.95, sleeve)
            if not half:
                pen.limb(e, hnd, r * grow * 0.93, r * grow * 0.78, sleeve)
            if t["pattern"] in ("striped", "checked", "dotted") and tile is not None:
                end = mid if half else e
                dx = r * grow * 0.9
                pen.textured(
                    [
                        (s[0] - dx, s[1] + 0.01),
                        (s[0] + dx, s[1] + 0.01),
                        (end[0] + dx, end[1]),
                        (end[0] - dx, end[1]),
                    ],
                    tile,
                )
                if not half:
                    pen.textured(
                        [
                            (e[0] - dx * 0.9, e[1]),
                            (e[0] + dx * 0.9, e[1]),
                            (hnd[0] + dx * 0.8, hnd[1]),
                            (hnd[0] - dx * 0.8, hnd[1]),
                        ],
                        tile,
                    )
        pen.oval(hnd[0], hnd[1] - 0.012, 0.019 * w, 0.023, tone)
        hands.append((which, hnd))

    if side:
        arm(-1)
        if t["bag"] == "backpack":
            pen.box(-0.15 * w, 0.56, -0.03, 0.82, bag, 0.03)
            pen.box(-0.165 * w, 0.58, -0.11 * w, 0.68, dark(bag, 0.82), 0.02)

    # torso and garment -----------------------------------------------------------------------------------------
    hem = 0.335 if long_coat else (0.49 if t["upper"] in ("hoodie", "jacket", "sweater") else 0.52)
    end = max(hip * 1.12, waist) if long_coat else hip * 1.04
    body = [
        (-shoulder * 0.55, 0.845),
        (shoulder * 0.55, 0.845),
        (shoulder, 0.80),
        (waist * 1.08, 0.62),
        (end, hem),
        (-end, hem),
        (-waist * 1.08, 0.62),
        (-shoulder, 0.80),
    ]
    if t["upper"] == "vest":
        pen.polygon(
            [
                (-shoulder * 0.6, 0.845),
                (shoulder * 0.6, 0.845),
                (shoulder, 0.80),
                (-shoulder, 0.80),
            ],
            skin,
        )
        body = [
            (-shoulder * 0.62, 0.85),
            (-shoulder * 0.34, 0.85),
            (-shoulder * 0.2, 0.78),
            (shoulder * 0.2, 0.78),
            (shoulder * 0.34, 0.85),
            (shoulder * 0.62, 0.85),
            (shoulder * 0.74, 0.74),
            (waist * 1.05, 0.62),
            (end, hem),
            (-end, hem),
            (-waist * 1.05, 0.62),
            (-shoulder * 0.74, 0.74),
        ]
    pen.polygon(body, top)
    if t["pattern"] in ("striped", "checked", "dotted") and tile is not None:
        pen.textured(body, tile)
    contrast = shade(top, 0.55) if sum(top) > 300 else tuple(min(255, c + 70) for c in top)
    front_x = shoulder * 0.55 if side else 0
    if not back:
        if t["upper"] == "shirt":
            pen.line([(front_x, 0.84), (front_x, hem)], contrast, 0.006)
            for y in (0.76, 0.69, 0.62, 0.55):
                pen.oval(
                    front_x, y, 0.007, 0.007, (245, 245, 240) if sum(top) < 450 else (60, 60, 60)
                )
            pen.polygon(
                [(front_x - 0.045, 0.86), (front_x, 0.815), (front_x + 0.03, 0.86)], contrast
            )
        elif t["upper"] in ("jacket", "coat"):
            inner = (236, 234, 228) if sum(top) < 480 else (70, 76, 92)
            deep = 0.56 if t["upper"] == "jacket" else 0.72
            pen.polygon(
                [
                    (front_x - 0.034, 0.845),
                    (front_x + (0.01 if side else 0.034), 0.845),
                    (front_x, deep),
                ],
                inner,
            )
            pen.line([(front_x, deep), (front_x, hem)], contrast, 0.008)
            if t["upper"] == "coat":
                for y in (0.66, 0.58, 0.50, 0.42):
                    pen.oval(front_x - 0.025, y, 0.009, 0.009, contrast)
            else:
                pen.line([(-end, hem + 0.012), (end, hem + 0.012)], dark(top, 0.7), 0.02)
        elif t["upper"] == "t-shirt":
            pen.oval(front_x * 0.8, 0.85, 0.033, 0.02, skin)
        elif t["upper"] == "sweater":
            pen.line([(-end, hem + 0.01), (end, hem + 0.01)], dark(top, 0.8), 0.024)
            pen.line([(-0.035, 0.846), (0.035, 0.846)], dark(top, 0.72), 0.02)
        if t["pattern"] == "printed":
            mark = (240, 238, 230) if sum(top) < 450 else (178, 46, 60)
            pen.oval(front_x * 0.6, 0.71, 0.035 * (0.6 if side else 1), 0.035, mark)
            pen.box(front_x * 0.6 - 0.02, 0.635, front_x * 0.6 + 0.02, 0.655, mark)
    if t["upper"] == "hoodie":
        if back:
            pen.oval(0, 0.81, 0.062, 0.062, dark(top, 0.8))
        else:
            pen.oval(
                -0.01 if side else 0, 0.852, 0.066 if not side else 0.052, 0.034, dark(top, 0.74)
            )
            pen.box(-shoulder * 0.6, 0.52, shoulder * 0.6, 0.60, dark(top, 0.85), 0.02)
            if not side:
                pen.line([(-0.02, 0.83), (-0.022, 0.75)], (240, 240, 236), 0.007)
                pen.line([(0.02, 0.83), (0.022, 0.75)], (240, 240, 236), 0.007)
    elif t["upper"] == "sweater" and back:
        pen.line([(-end, hem + 0.01), (end, hem + 0.01)], dark(top, 0.8), 0.024)
    elif t["upper"] in ("jacket", "coat", "shirt") and back:
        pen.line([(-0.045, 0.85), (0.045, 0.85)], contrast, 0.022)
        if t["upper"] == "coat":
            pen.line([(0, 0.52), (0, hem)], dark(top, 0.7), 0.008)
    if t["belt"] != "none" and not long_coat:
        pen.box(-end * 1.02, hem - 0.012, end * 1.02, hem + 0.018, tint(t["belt"]))
        if not back:
            pen.box(front_x - 0.014, hem - 0.014, front_x + 0.014, hem + 0.02, (206, 178, 92))

    # bag on the body -------------------------------------------------------------------------------------------
    if t["bag"] == "backpack" and not side:
        if back:
            pen.box(-0.085 * w, 0.55, 0.085 * w, 0.82, bag, 0.03)
            pen.box(-0.055 * w, 0.57, 0.055 * w, 0.66, dark(bag, 0.8), 0.02)
            pen.line([(-0.03, 0.82), (0, 0.845), (0.03, 0.82)], dark(bag, 0.7), 0.012)
        else:
            for s in (-1, 1):
                pen.line(
                    [
                        (s * shoulder * 0.6, 0.845),
                        (s * shoulder * 0.66, 0.66),
                        (s * shoulder * 0.95, 0.58),
                    ],
                    bag,
                    0.03,
                )
    elif t["bag"] == "shoulder bag":
        x = 0.02 if side else -shoulder - 0.005
        pen.line([((0.0 if side else shoulder * 0.55), 0.845), (x, 0.55)], dark(bag, 0.85), 0.014)
        pen.box(x - 0.055, 0.42, x + 0.055, 0.53, bag, 0.015)
        pen.line([(x - 0.05, 0.49), (x + 0.05, 0.49)], dark(bag, 0.7), 0.008)
    arms = [1] if side else ([-1, 1] if rng.random() < 0.5 else [1, -1])
    for which in arms:
        arm(which)
    if side and t["bag"] == "backpack":
        pen.line([(-0.02, 0.845), (0.028, 0.74), (-0.03, 0.64)], bag, 0.024)
    if t["bag"] == "handbag":
        hx, hy = next((h for which, h in hands if which == -1))
        pen.line(
            [(hx - 0.035, hy - 0.06), (hx, hy - 0.005), (hx + 0.035, hy - 0.06)],
            dark(bag, 0.75),
            0.010,
        )
        pen.polygon(
            [
                (hx - 0.045, hy - 0.055),
                (hx + 0.045, hy - 0.055),
                (hx + 0.06, hy - 0.15),
                (hx - 0.06, hy - 0.15),
            ],
            bag,
        )
        pen.box(hx - 0.012, hy - 0.085, hx + 0.012, hy - 0.065, (214, 188, 110))

    # head ------------------------------------------------------------------------------------------------------
    nod = 0.012 if side else 0
    hx, hy, hw, hh = nod, 0.925, (0.047 if side else 0.043), 0.061
    pen.limb((0, 0.84), (nod * 0.6, 0.88), 0.026 * w, 0.026, dark(skin, 0.88))
    if back and scarf is not None:
        pen.box(-0.052, 0.83, 0.052, 0.872, scarf, 0.018)
    length = t["hair_length"]
    if length == "long":
        if back:
            pen.box(-0.058, 0.74, 0.058, 0.95, hair, 0.03)
        else:
            pen.box((-0.062 if side else -0.06), 0.745, (0.005 if side else 0.06), 0.95, hair, 0.03)
    elif length == "shoulder-length":
        pen.box((-0.058 if side else -0.06), 0.835, (0.008 if side else 0.06), 0.96, hair, 0.03)
    elif length == "tied" and (side or back):
        tx = -0.062 if side else 0.0
        pen.limb((tx, 0.93), (tx - (0.02 if side else 0), 0.80), 0.022, 0.012, hair)
    pen.oval(hx, hy, hw, hh, skin)
    if scarf is not None and not back:
        pen.box(-0.052, 0.83, 0.052, 0.872, scarf, 0.018)
        pen.polygon(
            [
                (front_x * 0.6 + 0.01, 0.85),
                (front_x * 0.6 + 0.045, 0.85),
                (front_x * 0.6 + 0.04, 0.70),
                (front_x * 0.6 + 0.012, 0.70),
            ],
            dark(scarf, 0.88),
        )
    if back:
        pen.oval(hx, hy + 0.003, hw + 0.006, hh + 0.003, hair)
        if length == "tied":
            pen.limb((0, 0.935), (0, 0.815), 0.02, 0.012, dark(hair, 0.8))
    elif side:
        pen.polygon(
            [
                (hx - 0.05, 0.93),
                (hx - 0.042, 0.972),
                (hx, 0.992),
                (hx + 0.035, 0.975),
                (hx + 0.03, 0.955),
                (hx - 0.005, 0.95),
                (hx - 0.014, 0.915),
                (hx - 0.04, 0.895),
            ],
            hair,
        )
        pen.oval(hx + 0.022, 0.928, 0.005, 0.006, (40, 34, 32))
        pen.polygon([(hx + 0.042, 0.925), (hx + 0.056, 0.912), (hx + 0.042, 0.906)], skin)
    else:
        pen.draw.pieslice(
            [
                *pen.at(-hw * pen.flip - 0.004 * pen.flip, 0.994),
                *pen.at(hw * pen.flip + 0.004 * pen.flip, 0.90),
            ],
            180,
            360,
            fill=hair,
        )
        if length in ("long", "shoulder-length"):
            for s in (-1, 1):
                pen.limb((s * 0.043, 0.95), (s * 0.048, 0.87), 0.012, 0.013, hair)
        if length == "tied":
            pen.oval(0, 0.992, 0.02, 0.016, hair)
        for s in (-1, 1):
            pen.oval(s * 0.017, 0.925, 0.006, 0.006, (40, 34, 32))
        pen.line([(-0.012, 0.889), (0.012, 0.889)], dark(skin, 0.6), 0.006)
    if t["glasses"] != "none" and not back:
        rim = (16, 16, 18) if t["glasses"] == "sunglasses" else (64, 52, 44)
        for s in [0.55] if side else [-1, 1]:
            x = hx + s * 0.02 + (0.012 if side else 0)
            pen.oval(x, 0.926, 0.017, 0.014, rim)
            if t["glasses"] == "glasses":
                pen.oval(x, 0.926, 0.012, 0.009, (206, 214, 218))
        pen.line([(hx - (0.035 if side else 0.04), 0.93), (hx + 0.035, 0.93)], rim, 0.006)
    if hat is not None:
        if t["hat"] == "cap":
            pen.draw.pieslice(
                [*pen.at(hx - 0.052 * pen.flip, 1.012), *pen.at(hx + 0.052 * pen.flip, 0.91)],
                180,
                360,
                fill=hat,
            )
            if side:
                pen.polygon(
                    [
                        (hx + 0.02, 0.966),
                        (hx + 0.098, 0.952),
                        (hx + 0.094, 0.943),
                        (hx + 0.02, 0.95),
                    ],
                    dark(hat, 0.8),
                )
            elif not back:
                pen.oval(hx, 0.958, 0.046, 0.013, dark(hat, 0.75))
        elif t["hat"] == "woolly hat":
            pen.oval(hx, 0.968, 0.055, 0.05, hat)
            pen.box(hx - 0.056, 0.945, hx + 0.056, 0.968, dark(hat, 0.8), 0.01)
            pen.oval(hx, 1.018, 0.018, 0.016, tuple(min(255, c + 40) for c in hat))
        else:
            pen.oval(hx, 0.972, 0.105, 0.02, dark(hat, 0.9))
            pen.oval(hx, 0.99, 0.052, 0.034, hat)
            pen.line([(hx - 0.05, 0.978), (hx + 0.05, 0.978)], dark(hat, 0.55), 0.012)

    # things in hand --------------------------------------------------------------------------------------------
    hx, hy = next((h for which, h in hands if which == 1))
    if t["held"] == "umbrella":
        cloth = own.choice([(64, 52, 110), (150, 40, 50), (40, 84, 120)])
        pen.line([(hx, hy - 0.03), (hx, 1.05)], (70, 66, 64), 0.008)
        ax, ay = pen.at(hx, 1.14)
        r = 0.20 * pen.scale
        pen.draw.pieslice([ax - r, ay, ax + r, ay + 1.1 * r], 180, 360, fill=cloth)
    elif not back:
        if t["held"] == "phone":
            pen.box(hx - 0.012, hy - 0.005, hx + 0.014, hy + 0.045, (20, 20, 24), 0.006)
            pen.box(hx - 0.007, hy + 0.002, hx + 0.009, hy + 0.038, (130, 196, 232))
        elif t["held"] == "book":
            pen.box(
                hx - 0.035,
                hy - 0.03,
                hx + 0.035,
                hy + 0.06,
                own.choice([(176, 60, 50), (60, 90, 140), (230, 224, 206)]),
                0.004,
            )
            pen.line([(hx - 0.022, hy + 0.03), (hx + 0.022, hy + 0.03)], (245, 240, 225), 0.009)
        elif t["held"] == "cup":
            pen.polygon(
                [
                    (hx - 0.018, hy - 0.01),
                    (hx + 0.018, hy - 0.01),
                    (hx + 0.024, hy + 0.05),
                    (hx - 0.024, hy + 0.05),
                ],
                (236, 232, 224),
            )
            pen.box(hx - 0.022, hy + 0.012, hx + 0.022, hy + 0.03, (150, 96, 58))
        elif t["held"] == "bottle":
            pen.box(hx - 0.014, hy - 0.075, hx + 0.014, hy + 0.03, (116, 196, 224), 0.008)
            pen.box(hx - 0.008, hy + 0.028, hx + 0.008, hy + 0.048, (40, 92, 168))
