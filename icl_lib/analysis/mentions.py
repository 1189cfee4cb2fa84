"""Which characteristics of a pedestrian a text in free English mentions.

For captions of real data sets and of real MLLMs. `icl_lib.thi.contradictions` reads what exactly is
said about a thing, from nouns and the words before them; here the question is only whether it is
mentioned at all, so that vaguer words count as well ("smiling", "barefoot", "in his hand"). Neither
reader sees a picture: both find what is claimed, not whether it is true.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from icl_lib.data.words import CLASSES, NOUNS
from icl_lib.params.paths import repo_root

# Pictures that a human and a real MLLM described, below $ICL_REAL.
HUMAN_AND_MLLM = "annotations/cuhk_train_human_vs_mllm.json"

# Characteristic -> regular expressions of the words that mention it, beyond `NOUNS`.
_MORE = {
    "sex": "men|women|ladie",
    "age": "young|old|elderly|middle[- ]aged|teen|teenager|teenage|child|adult|toddler|twentie|"
    "thirtie|fortie|fiftie|sixtie|years old|[2-7]0",
    "face, mood": "face|facial|smile|smiling|expression|beard|bearded|moustache|mustache|eyebrow|"
    "complexion|skin tone|frowning|serious|happy|confident|relaxed|carefree|determined|tired|"
    "focused|stern|casual appearance|purposeful",
    "hair": "haired|pony tail|bald|bangs|curl",
    "upper body": "",
    "sleeves": "sleeve|sleeved|sleeveless",
    "lower body": "khakis|capri|denim|dress",
    "shoes": "flip[- ]flop|flats|sock|barefoot",
    "pattern": "stripe|striped|plaid|check|checked|checkered|checkerboard|dot|dotted|polka|floral|"
    "flower|flowered|print|printed|pattern|patterned|logo|graphic|lettering|writing|design|"
    "camouflage",
    "glasses": "",
    "scarf": "tie|necktie|bandana|collar",
    "hat": "headscarf|visor|hood up",
    "bag": "messenger",
    "belt": "suspender",
    "in hand": "holding|hold|in (?:his|her|their|one|the|each|both) (?:left |right |other )?hand|"
    "umbrella|phone|cellphone|book|bottle|cup|skateboard|newspaper|camera|paper|folder|tablet|"
    "microphone|bucket|object",
    "jewellery": "watch|bracelet|necklace|earring|ring|headphone|earphone|earbud",
    "action": "walking|walk|standing|stand|running|run|riding|sitting|sit|talking|looking|facing|"
    "leaning|posing|stepping|strolling",
    "background": "street|sidewalk|road|building|wall|background|tree|grass|floor|stair|station|"
    "store|shop|mall|park|crosswalk|pavement|corridor|hallway|outdoor|indoor|city|campus|carpet|"
    "path|ground|airport|terminal|escalator|platform|stage|room|window|door|car|train|bicycle|"
    "railing|sky|sign",
    "other people": "people|crowd|another person|another man|another woman|others|companion|"
    "group of|couple|someone else|baby",
    "colour": "black|white|gr[ea]y(?:ish)?|red|blue|navy|green|yellow|orange|purple|pink|brown|"
    "tan|beige|khaki|maroon|teal",
}
_SHARED = NOUNS | {"hair": NOUNS["hairstyle"], "sex": " ".join(CLASSES["sex"])}
WORDS = {  # characteristic -> alternatives of one pattern; "s" or "es" may follow each
    name: "|".join([*_SHARED.get(name, "").split(), *filter(None, [more])])
    for name, more in _MORE.items()
}
_PATTERNS = {
    name: re.compile(rf"(?<!\w)(?:{words})(?:s|es)?(?!\w)") for name, words in WORDS.items()
}
_NEGATED = re.compile(r"\b(?:no|not|without|nor|isn't|doesn't|never)\b(?:[ \w'-]*)$")
_CLAUSE_END = re.compile(r"[.,;:]|\b(?:but|and (?:is|has|wears))\b")


def characteristics(text: str) -> set[str]:
    """The characteristics that a text claims something about.

    What a text says is absent ("no hat") is no claim. A negation holds up to the end of its clause:
    "without a bag or hat, in jeans" mentions the jeans only.
    """
    text = " ".join(text.lower().split())
    return {
        name
        for name, pattern in _PATTERNS.items()
        if any(
            not _NEGATED.search(_CLAUSE_END.split(text[: hit.start()])[-1])
            for hit in pattern.finditer(text)
        )
    }


def claimed(human: Sequence[str], machine: Sequence[str]) -> pd.DataFrame:
    """Which characteristics two describers of the same N pictures mention.

    Args:
        human: The texts of a human, one per picture.
        machine: Those of an MLLM about the same pictures, in the same order.

    Returns:
        A row per characteristic with the columns human, mllm, "mllm only" (the MLLM names it, the
        human does not) and "human only", in percent of the pairs, sorted by "mllm only".

    Raises:
        ValueError: The lists differ in length or are empty.
    """
    if len(human) != len(machine) or not len(human):
        raise ValueError(
            f"{len(human)} human texts but {len(machine)} of the MLLM: give one pair of texts for "
            "each picture, and at least one pair."
        )
    said = {who: _flags(texts) for who, texts in {"human": human, "mllm": machine}.items()}
    said["mllm only"] = said["mllm"] & ~said["human"]
    said["human only"] = said["human"] & ~said["mllm"]
    table = pd.DataFrame({column: 100 * flags.sum() / len(human) for column, flags in said.items()})
    table = table.rename_axis("characteristic")
    return table.sort_values("mllm only", ascending=False, kind="stable")


def _flags(texts: Sequence[str]) -> pd.DataFrame:
    """Whether each text mentions each characteristic."""
    found = [characteristics(text) for text in texts]
    return pd.DataFrame({name: [name in one for one in found] for name in WORDS})


def human_and_mllm() -> tuple[list[str], list[str]] | None:
    """Captions of the same real pictures by a human and by a real MLLM.

    They are read from the folder $ICL_REAL, else from shared/real beside the kit's folder; their
    terms do not allow shipping them. If they are missing, this says so and returns None.
    """
    folder = Path(os.environ.get("ICL_REAL") or repo_root().parent / "shared" / "real")
    file = folder / HUMAN_AND_MLLM
    if not file.is_file():
        print(
            f"no {HUMAN_AND_MLLM} here: it may not be shipped; "
            "set ICL_REAL to its folder to read it"
        )
        return None
    records = json.loads(file.read_text(encoding="utf-8"))
    return [record["caption"] for record in records], [record["mllm_caption"] for record in records]
