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
    tint = lambda name, table=COLOURS: tuple(max(0, min(255, c + own.randint(-13, 13))) for c in table[name])
    skin, hair = SKIN[t["skin"]], tint(t["hair_colour"], HAIR)
    top, low, shoe = tint(t["upper_colour"]), tint(t["lower_colour"]), tint(t["shoes_colour"])
    bag = tint(t["bag_colour"]) if t["bag"] != "none" else None
    hat = tint(t["hat_colour"]) if t["hat"] != "none" else None
    scarf = tint(t["scarf"]) if t["scarf"] != "none" else None
    woman, walking, long_coat = t["sex"] == "woman", t["action"] == "walking", t["upper"] == "coat"
    shoulder, waist, hip = (.098, .064, .083) if woman else (.118, .082, .080)
    shoulder, waist, hip = (v * w * (.62 if side else 1) for v in (shoulder, waist, hip))
    dark = lambda c, f=.78: shade(c, f)

    # legs and feet ---------------------------------------------------------------------------------------------
    swing = rng.uniform(.55, 1.0) if walking else rng.uniform(0, .12)
    apart = .045 * w
    if side:
        hips, ankles = [(0, .49), (0, .49)], [(-.14 * swing, .05 + .035 * swing), (.13 * swing, .045)]
    else:
        lift = .05 * swing if walking else 0
        hips, ankles = [(-apart, .49), (apart, .49)], [(-apart * 1.1, .045 + lift), (apart * 1.1, .045)]
        if rng.random() < .5:
            ankles[0], ankles[1] = (ankles[0][0], ankles[1][1]), (ankles[1][0], ankles[0][1])
    skirt, reach = t["lower"] == "skirt", {"long": .06, "knee-length": .27, "short": .36}[t["lower_length"]]
    for i, (h, a) in enumerate(zip(hips, ankles)):
        far = i == 0 and side
        knee = ((h[0] + a[0]) / 2 + (.018 * swing if side else 0), .27 + (a[1] - .045) * .6)
        thigh_r, knee_r, ankle_r = .043 * w, .031 * w, .02 * w
        bare = dark(skin, .85) if far else skin
        pen.limb(h, knee, thigh_r, knee_r, bare)
        pen.limb(knee, a, knee_r, ankle_r, bare)
        cloth = dark(low, .84) if far else low
        if not skirt:
            loose = 1.16 if t["lower"] == "trousers" else 1.04
            pen.limb(h, knee, thigh_r * loose * 1.06, knee_r * loose * (1.25 if t["lower"] == "shorts" else 1.05), cloth)
            if t["lower_length"] == "long":
                pen.limb(knee, (a[0], a[1] + .012), knee_r * loose * 1.05, ankle_r * loose * 1.25, cloth)
            elif t["lower_length"] == "knee-length":
                end = (knee[0] + (a[0] - knee[0]) * .12, knee[1] - .03)
                pen.limb(knee, end, knee_r * 1.35, knee_r * 1.35, cloth)
            if t["lower"] == "jeans":
                seam = shade(low, .7) if sum(low) > 330 else tuple(min(255, c + 46) for c in low)
                pen.line([(h[0] + .02 * w, .47), (knee[0] + .012 * w, knee[1]), (a[0] + .006, a[1] + .02)], seam, .007)
                pen.line([(a[0] - ankle_r * 1.2, a[1] + .016), (a[0] + ankle_r * 1.2, a[1] + .016)], seam, .010)
        ahead = .03 if side else (0.006 if i else -.006)
        sole = a[1] - .042
        if t["shoes"] == "sandals":
            pen.oval(a[0] + ahead * .8, sole + .014, .034 if side else .021, .013, skin)
            pen.line([(a[0] - .016 + ahead * .5, sole + .022), (a[0] + .02 + ahead, sole + .014)], shoe, .010)
            pen.line([(a[0] - .024, sole + .003), (a[0] + ahead * 1.4 + .012, sole + .003)], shoe, .010)
        else:
            if t["shoes"] == "boots":
                pen.limb((a[0], a[1] + .085), (a[0], a[1] - .005), ankle_r * 1.5, ankle_r * 1.4, shoe)
            pen.oval(a[0] + ahead * .75, sole + .019, .043 if side else .024, .021, shoe)
            if t["shoes"] == "sneakers":
                pale = (236, 236, 232) if sum(shoe) < 600 else (168, 168, 170)
                pen.line([(a[0] - .022, sole + .003), (a[0] + ahead + .024, sole + .003)], pale, .012)
            elif t["shoes"] == "leather shoes":
                pen.oval(a[0] + ahead, sole + .021, .010, .005, tuple(min(255, c + 70) for c in shoe))
                pen.line([(a[0] - .022, sole + .002), (a[0] + ahead + .022, sole + .002)], shade(shoe, .5), .007)
    if skirt:
        flare = (1.75 if t["lower_length"] != "long" else 1.5) * max(hip, .075 * w)
        pen.polygon([(-hip * .95, .55), (hip * .95, .55), (flare, reach), (-flare, reach)], low)
        for f in (-.4, .1, .5):
            pen.line([(f * hip, .5), (f * flare * 1.1, reach + .01)], dark(low, .86), .006)
    else:
        pen.polygon([(-hip, .56), (hip, .56), (hip * 1.06, .47), (0, .435), (-hip * 1.06, .47)], low)

    # arms: the far one first -----------------------------------------------------------------------------------
    bare_arm, half = t["sleeves"] == "none", t["sleeves"] == "short"
    arm_swing = swing * .10 if walking else .012
    up = t["held"] in ("phone", "book", "cup") and not back
    tile = _cloth(pen.image.size, top, t["pattern"], pen.scale) if detailed else None
    hands = []

    def arm(which):
        sx = (0 if side else which * (shoulder - .012))
        s = (sx, .80)
        holds = which == 1
        if side:
            e = (sx + which * arm_swing * .6 - .01, .64)
            hnd = (e[0] + which * arm_swing + .02, .50)
        else:
            e = (which * (shoulder + .024 * w), .645)
            hnd = (which * (shoulder + .012 + (arm_swing * .25)), .495)
        if holds and up:
            e, hnd = ((.0, .63), (.105, .66)) if side else ((shoulder + .03, .645), (shoulder * .55, .665))
        if holds and t["held"] == "umbrella":
            e, hnd = ((.0, .65), (.075, .78)) if side else ((shoulder + .05, .67), (shoulder + .035, .80))
        r = .026 * w
        tone = dark(skin, .86) if (side and which == -1) else skin
        pen.limb(s, e, r, r * .86, tone)
        pen.limb(e, hnd, r * .86, r * .62, tone)
        if not bare_arm:
            grow = 1.32 if t["upper"] in ("hoodie", "coat", "jacket", "sweater") else 1.2
            sleeve = dark(top, .84) if (side and which == -1) else dark(top, .93)
            mid = ((s[0] + e[0]) / 2, (s[1] + e[1]) / 2 - .01)
            pen.limb(s, mid if half else e, r * grow, r * grow * .95, sleeve)
            if not half:
                pen.limb(e, hnd, r * grow * .93, r * grow * .78, sleeve)
            if t["pattern"] in ("striped", "checked", "dotted") and tile is not None:
                end = mid if half else e
                dx = r * grow * .9
                pen.textured([(s[0] - dx, s[1] + .01), (s[0] + dx, s[1] + .01), (end[0] + dx, end[1]), (end[0] - dx, end[1])], tile)
                if not half:
                    pen.textured([(e[0] - dx * .9, e[1]), (e[0] + dx * .9, e[1]), (hnd[0] + dx * .8, hnd[1]), (hnd[0] - dx * .8, hnd[1])], tile)
        pen.oval(hnd[0], hnd[1] - .012, .019 * w, .023, tone)
        hands.append((which, hnd))

    if side:
        arm(-1)
        if t["bag"] == "backpack":
            pen.box(-.15 * w, .56, -.03, .82, bag, .03)
            pen.box(-.165 * w, .58, -.11 * w, .68, dark(bag, .82), .02)

    # torso and garment -----------------------------------------------------------------------------------------
    hem = .335 if long_coat else (.49 if t["upper"] in ("hoodie", "jacket", "sweater") else .52)
    end = max(hip * 1.12, waist) if long_coat else hip * 1.04
    body = [(-shoulder * .55, .845), (shoulder * .55, .845), (shoulder, .80), (waist * 1.08, .62), (end, hem), (-end, hem),
            (-waist * 1.08, .62), (-shoulder, .80)]
    if t["upper"] == "vest":
        pen.polygon([(-shoulder * .6, .845), (shoulder * .6, .845), (shoulder, .80), (-shoulder, .80)], skin)
        body = [(-shoulder * .62, .85), (-shoulder * .34, .85), (-shoulder * .2, .78), (shoulder * .2, .78), (shoulder * .34, .85),
                (shoulder * .62, .85), (shoulder * .74, .74), (waist * 1.05, .62), (end, hem), (-end, hem),
                (-waist * 1.05, .62), (-shoulder * .74, .74)]
    pen.polygon(body, top)
    if t["pattern"] in ("striped", "checked", "dotted") and tile is not None:
        pen.textured(body, tile)
    contrast = shade(top, .55) if sum(top) > 300 else tuple(min(255, c + 70) for c in top)
    front_x = shoulder * .55 if side else 0
    if not back:
        if t["upper"] == "shirt":
            pen.line([(front_x, .84), (front_x, hem)], contrast, .006)
            for y in (.76, .69, .62, .55):
                pen.oval(front_x, y, .007, .007, (245, 245, 240) if sum(top) < 450 else (60, 60, 60))
            pen.polygon([(front_x - .045, .86), (front_x, .815), (front_x + .03, .86)], contrast)
        elif t["upper"] in ("jacket", "coat"):
            inner = (236, 234, 228) if sum(top) < 480 else (70, 76, 92)
            deep = .56 if t["upper"] == "jacket" else .72
            pen.polygon([(front_x - .034, .845), (front_x + (.01 if side else .034), .845), (front_x, deep)], inner)
            pen.line([(front_x, deep), (front_x, hem)], contrast, .008)
            if t["upper"] == "coat":
                for y in (.66, .58, .50, .42):
                    pen.oval(front_x - .025, y, .009, .009, contrast)
            else:
                pen.line([(-end, hem + .012), (end, hem + .012)], dark(top, .7), .02)
        elif t["upper"] == "t-shirt":
            pen.oval(front_x * .8, .85, .033, .02, skin)
        elif t["upper"] == "sweater":
            pen.line([(-end, hem + .01), (end, hem + .01)], dark(top, .8), .024)
            pen.line([(-.035, .846), (.035, .846)], dark(top, .72), .02)
        if t["pattern"] == "printed":
            mark = (240, 238, 230) if sum(top) < 450 else (178, 46, 60)
            pen.oval(front_x * .6, .71, .035 * (.6 if side else 1), .035, mark)
            pen.box(front_x * .6 - .02, .635, front_x * .6 + .02, .655, mark)
    if t["upper"] == "hoodie":
        if back:
            pen.oval(0, .81, .062, .062, dark(top, .8))
        else:
            pen.oval(-.01 if side else 0, .852, .066 if not side else .052, .034, dark(top, .74))
            pen.box(-shoulder * .6, .52, shoulder * .6, .60, dark(top, .85), .02)
            if not side:
                pen.line([(-.02, .83), (-.022, .75)], (240, 240, 236), .007)
                pen.line([(.02, .83), (.022, .75)], (240, 240, 236), .007)
    elif t["upper"] == "sweater" and back:
        pen.line([(-end, hem + .01), (end, hem + .01)], dark(top, .8), .024)
    elif t["upper"] in ("jacket", "coat", "shirt") and back:
        pen.line([(-.045, .85), (.045, .85)], contrast, .022)
        if t["upper"] == "coat":
            pen.line([(0, .52), (0, hem)], dark(top, .7), .008)
    if t["belt"] != "none" and not long_coat:
        pen.box(-end * 1.02, hem - .012, end * 1.02, hem + .018, tint(t["belt"]))
        if not back:
            pen.box(front_x - .014, hem - .014, front_x + .014, hem + .02, (206, 178, 92))

    # bag on the body -------------------------------------------------------------------------------------------
    if t["bag"] == "backpack" and not side:
        if back:
            pen.box(-.085 * w, .55, .085 * w, .82, bag, .03)
            pen.box(-.055 * w, .57, .055 * w, .66, dark(bag, .8), .02)
            pen.line([(-.03, .82), (0, .845), (.03, .82)], dark(bag, .7), .012)
        else:
            for s in (-1, 1):
                pen.line([(s * shoulder * .6, .845), (s * shoulder * .66, .66), (s * shoulder * .95, .58)], bag, .03)
    elif t["bag"] == "shoulder bag":
        x = (.02 if side else -shoulder - .005)
        pen.line([((.0 if side else shoulder * .55), .845), (x, .55)], dark(bag, .85), .014)
        pen.box(x - .055, .42, x + .055, .53, bag, .015)
        pen.line([(x - .05, .49), (x + .05, .49)], dark(bag, .7), .008)
    arms = [1] if side else ([-1, 1] if rng.random() < .5 else [1, -1])
    for which in arms:
        arm(which)
    if side and t["bag"] == "backpack":
        pen.line([(-.02, .845), (.028, .74), (-.03, .64)], bag, .024)
    if t["bag"] == "handbag":
        hx, hy = next((h for which, h in hands if which == -1))
        pen.line([(hx - .035, hy - .06), (hx, hy - .005), (hx + .035, hy - .06)], dark(bag, .75), .010)
        pen.polygon([(hx - .045, hy - .055), (hx + .045, hy - .055), (hx + .06, hy - .15), (hx - .06, hy - .15)], bag)
        pen.box(hx - .012, hy - .085, hx + .012, hy - .065, (214, 188, 110))

    # head ------------------------------------------------------------------------------------------------------
    nod = .012 if side else 0
    hx, hy, hw, hh = nod, .925, (.047 if side else .043), .061
    pen.limb((0, .84), (nod * .6, .88), .026 * w, .026, dark(skin, .88))
    if back and scarf is not None:
        pen.box(-.052, .83, .052, .872, scarf, .018)
    length = t["hair_length"]
    if length == "long":
        if back:
            pen.box(-.058, .74, .058, .95, hair, .03)
        else:
            pen.box((-.062 if side else -.06), .745, (.005 if side else .06), .95, hair, .03)
    elif length == "shoulder-length":
        pen.box((-.058 if side else -.06), .835, (.008 if side else .06), .96, hair, .03)
    elif length == "tied" and (side or back):
        tx = -.062 if side else .0
        pen.limb((tx, .93), (tx - (.02 if side else 0), .80), .022, .012, hair)
    pen.oval(hx, hy, hw, hh, skin)
    if scarf is not None and not back:
        pen.box(-.052, .83, .052, .872, scarf, .018)
        pen.polygon([(front_x * .6 + .01, .85), (front_x * .6 + .045, .85), (front_x * .6 + .04, .70), (front_x * .6 + .012, .70)], dark(scarf, .88))
    if back:
        pen.oval(hx, hy + .003, hw + .006, hh + .003, hair)
        if length == "tied":
            pen.limb((0, .935), (0, .815), .02, .012, dark(hair, .8))
    elif side:
        pen.polygon([(hx - .05, .93), (hx - .042, .972), (hx, .992), (hx + .035, .975), (hx + .03, .955), (hx - .005, .95),
                     (hx - .014, .915), (hx - .04, .895)], hair)
        pen.oval(hx + .022, .928, .005, .006, (40, 34, 32))
        pen.polygon([(hx + .042, .925), (hx + .056, .912), (hx + .042, .906)], skin)
    else:
        pen.draw.pieslice([*pen.at(-hw * pen.flip - .004 * pen.flip, .994), *pen.at(hw * pen.flip + .004 * pen.flip, .90)], 180, 360, fill=hair)
        if length in ("long", "shoulder-length"):
            for s in (-1, 1):
                pen.limb((s * .043, .95), (s * .048, .87), .012, .013, hair)
        if length == "tied":
            pen.oval(0, .992, .02, .016, hair)
        for s in (-1, 1):
            pen.oval(s * .017, .925, .006, .006, (40, 34, 32))
        pen.line([(-.012, .889), (.012, .889)], dark(skin, .6), .006)
    if t["glasses"] != "none" and not back:
        rim = (16, 16, 18) if t["glasses"] == "sunglasses" else (64, 52, 44)
        for s in ([.55] if side else [-1, 1]):
            x = hx + s * .02 + (.012 if side else 0)
            pen.oval(x, .926, .017, .014, rim)
            if t["glasses"] == "glasses":
                pen.oval(x, .926, .012, .009, (206, 214, 218))
        pen.line([(hx - (.035 if side else .04), .93), (hx + .035, .93)], rim, .006)
    if hat is not None:
        if t["hat"] == "cap":
            pen.draw.pieslice([*pen.at(hx - .052 * pen.flip, 1.012), *pen.at(hx + .052 * pen.flip, .91)], 180, 360, fill=hat)
            if side:
                pen.polygon([(hx + .02, .966), (hx + .098, .952), (hx + .094, .943), (hx + .02, .95)], dark(hat, .8))
            elif not back:
                pen.oval(hx, .958, .046, .013, dark(hat, .75))
        elif t["hat"] == "woolly hat":
            pen.oval(hx, .968, .055, .05, hat)
            pen.box(hx - .056, .945, hx + .056, .968, dark(hat, .8), .01)
            pen.oval(hx, 1.018, .018, .016, tuple(min(255, c + 40) for c in hat))
        else:
            pen.oval(hx, .972, .105, .02, dark(hat, .9))
            pen.oval(hx, .99, .052, .034, hat)
            pen.line([(hx - .05, .978), (hx + .05, .978)], dark(hat, .55), .012)

    # things in hand --------------------------------------------------------------------------------------------
    hx, hy = next((h for which, h in hands if which == 1))
    if t["held"] == "umbrella":
        cloth = own.choice([(64, 52, 110), (150, 40, 50), (40, 84, 120)])
        pen.line([(hx, hy - .03), (hx, 1.05)], (70, 66, 64), .008)
        ax, ay = pen.at(hx, 1.14)
        r = .20 * pen.scale
        pen.draw.pieslice([ax - r, ay, ax + r, ay + 1.1 * r], 180, 360, fill=cloth)
    elif not back:
        if t["held"] == "phone":
            pen.box(hx - .012, hy - .005, hx + .014, hy + .045, (20, 20, 24), .006)
            pen.box(hx - .007, hy + .002, hx + .009, hy + .038, (130, 196, 232))
        elif t["held"] == "book":
            pen.box(hx - .035, hy - .03, hx + .035, hy + .06, own.choice([(176, 60, 50), (60, 90, 140), (230, 224, 206)]), .004)
            pen.line([(hx - .022, hy + .03), (hx + .022, hy + .03)], (245, 240, 225), .009)
        elif t["held"] == "cup":
            pen.polygon([(hx - .018, hy - .01), (hx + .018, hy - .01), (hx + .024, hy + .05), (hx - .024, hy + .05)], (236, 232, 224))
            pen.box(hx - .022, hy + .012, hx + .022, hy + .03, (150, 96, 58))
        elif t["held"] == "bottle":
            pen.box(hx - .014, hy - .075, hx + .014, hy + .03, (116, 196, 224), .008)
            pen.box(hx - .008, hy + .028, hx + .008, hy + .048, (40, 92, 168))
