"""A keyword reader of real English descriptions: which characteristics of a pedestrian a text speaks of.

For captions of real data sets and of real MLLMs, which use no fixed vocabulary. It tells what is claimed, not
whether it is true: it sees no picture.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from icl_lib.params.paths import repo_root

HUMAN_AND_MLLM = (
    "annotations/cuhk_train_human_vs_mllm.json"  # pictures that a human and a real MLLM described
)

_COLOUR = r"black|white|gr[ea]y(?:ish)?|red|blue|navy|green|yellow|orange|purple|pink|brown|tan|beige|khaki|maroon|teal"
WORDS: Mapping[
    str, str
] = {  # characteristic -> alternatives of one pattern; an "s" or "es" may follow each
    "sex": "man|men|woman|women|boy|girl|guy|lady|ladie|male|female|gentleman|he|she|his|her|him",
    "age": (
        "young|old|elderly|middle[- ]aged|teen|teenager|teenage|child|adult|toddler|twentie|thirtie|"
        "fortie|fiftie|sixtie|years old|[2-7]0"
    ),
    "face, mood": (
        "face|facial|smile|smiling|expression|beard|bearded|moustache|mustache|eyebrow|complexion|"
        "skin tone|frowning|serious|happy|confident|relaxed|carefree|determined|tired|focused|stern|"
        "casual appearance|purposeful"
    ),
    "hair": "hair|haired|hairstyle|ponytail|pony tail|bald|bun|braid|bangs|curl|hairdo|pigtail",
    "upper body": (
        "shirt|t-shirt|tshirt|tee|blouse|sweater|sweatshirt|hoodie|hoody|jacket|coat|vest|top|jumper|"
        "cardigan|blazer|suit|tank top|polo|dress|dresse|pullover|jersey|overcoat|windbreaker|parka|"
        "tunic|uniform"
    ),
    "sleeves": "sleeve|sleeved|sleeveless|short[- ]sleeved?|long[- ]sleeved?",
    "lower body": (
        "pant|trouser|jean|short|skirt|legging|slack|capri|khakis|sweatpant|tight|denim|dress|dresse|"
        "culotte"
    ),
    "shoes": (
        "shoe|sneaker|boot|sandal|slipper|heel|flip[- ]flop|trainer|loafer|footwear|flats|sock|"
        "barefoot"
    ),
    "pattern": (
        "stripe|striped|plaid|check|checked|checkered|checkerboard|dot|dotted|polka|floral|flower|"
        "flowered|print|printed|pattern|patterned|logo|graphic|lettering|writing|design|camouflage"
    ),
    "glasses": "glass|glasse|eyeglass|eyeglasse|sunglass|sunglasse|spectacle",
    "scarf": "scarf|scarve|shawl|tie|necktie|bandana|collar",
    "hat": "hat|cap|beanie|helmet|headscarf|visor|beret|hood up",
    "bag": (
        "bag|backpack|handbag|purse|satchel|knapsack|rucksack|tote|luggage|suitcase|briefcase|"
        "messenger|shoulder bag|pouch"
    ),
    "belt": "belt|suspender|sash",
    "in hand": (
        "holding|hold|in (?:his|her|their|one|the|each|both) (?:left |right |other )?hand|umbrella|"
        "phone|cellphone|book|bottle|cup|skateboard|newspaper|camera|paper|folder|tablet|microphone|"
        "bucket|object"
    ),
    "jewellery": "watch|watche|bracelet|necklace|earring|ring|headphone|earphone|earbud",
    "action": (
        "walking|walk|standing|stand|running|run|riding|sitting|sit|talking|looking|facing|leaning|"
        "posing|stepping|strolling"
    ),
    "background": (
        "street|sidewalk|road|building|wall|background|tree|grass|floor|stair|station|store|shop|"
        "mall|park|crosswalk|pavement|corridor|hallway|outdoor|indoor|city|campus|carpet|path|ground|"
        "airport|terminal|escalator|platform|stage|room|window|door|car|train|bicycle|railing|sky|"
        "sign"
    ),
    "other people": (
        "people|crowd|another person|another man|another woman|others|companion|group of|couple|"
        "someone else|baby"
    ),
    "colour": _COLOUR,
}
_PATTERNS = {
    name: re.compile(rf"(?<!\w)(?:{words})(?:s|es)?(?!\w)") for name, words in WORDS.items()
}
_NEGATED = re.compile(r"\b(?:no|not|without|nor|isn't|doesn't|never)\b(?:[ \w'-]*)$")


def characteristics(text: str) -> set[str]:
    """The characteristics that a text claims something about; what it says is absent ("no hat") is no claim.

    A negation counts up to the next comma or full stop: "without a bag or hat, in jeans" speaks of the jeans alone.
    """
    text = " ".join(text.lower().split())
    found = set()
    for name, pattern in _PATTERNS.items():
        for hit in pattern.finditer(text):
            clause = re.split(r"[.,;:]|\b(?:but|and (?:is|has|wears))\b", text[: hit.start()])[-1]
            if not _NEGATED.search(clause):
                found.add(name)
                break
    return found


def claimed(human: Sequence[str], machine: Sequence[str]) -> pd.DataFrame:
    """Which characteristics two describers of the same N pictures speak of, a row each, in percent of the pairs.

    Columns: human; mllm; mllm only (and this human not), human only. Sorted by mllm only. Raises ValueError where
    the two lists differ in length or are empty.
    """
    if len(human) != len(machine) or not len(human):
        raise ValueError(
            f"{len(human)} human texts but {len(machine)} of the MLLM: give one pair a picture, at least one."
        )
    read = [(characteristics(one), characteristics(other)) for one, other in zip(human, machine)]
    rows = {
        name: {
            "human": 100 * sum(name in one for one, _ in read) / len(read),
            "mllm": 100 * sum(name in other for _, other in read) / len(read),
            "mllm only": 100 * sum(name in other - one for one, other in read) / len(read),
            "human only": 100 * sum(name in one - other for one, other in read) / len(read),
        }
        for name in WORDS
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("characteristic")
    return table.sort_values("mllm only", ascending=False, kind="stable")


def human_and_mllm() -> tuple[list[str], list[str]] | None:
    """Captions of real pictures by a human and by a real MLLM, or None (and a line that says so) where they aren't.

    They are looked for in $ICL_REAL, else in shared/real beside the kit's folder; they may not be passed on.
    """
    folder = Path(os.environ.get("ICL_REAL") or repo_root().parent / "shared" / "real")
    file = folder / HUMAN_AND_MLLM
    if not file.is_file():
        print(
            f"no {HUMAN_AND_MLLM} here: it may not be shipped; set ICL_REAL to its folder to read it"
        )
        return None
    records = json.loads(file.read_text(encoding="utf-8"))
    return [record["caption"] for record in records], [record["mllm_caption"] for record in records]
