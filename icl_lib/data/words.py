"""The vocabulary of visible characteristics in free English: nouns, adjectives, negations.

Two readers share it. `icl_lib.thi.contradictions` needs to know which words of a text say what
about which thing; `icl_lib.analysis.mentions` only notices that a thing is mentioned, and therefore
adds vaguer words of its own. (The stand-in's texts have a closed vocabulary and a reader of their
own, `icl_lib.data.standin.read`.)
"""

# Characteristic (as params/prompts/*.yaml names it) -> its nouns in the singular.
NOUNS = {
    "hairstyle": "hair hairstyle hairdo ponytail pigtail bun braid",
    "upper body": "shirt tshirt tee top polo jersey jacket coat overcoat sweater sweatshirt hoodie "
    "hoody pullover jumper blouse tunic vest blazer cardigan windbreaker parka suit uniform dress",
    "lower body": "trouser pant sweatpant jean short culotte skirt legging slack tight",
    "shoes": "shoe sneaker trainer boot sandal slipper heel loafer footwear",
    "glasses": "glass sunglass eyeglass spectacle",
    "scarf": "scarf scarve shawl",
    "bag": "bag backpack handbag purse rucksack knapsack satchel tote pouch briefcase suitcase "
    "luggage",
    "hat": "hat cap beanie beret helmet",
    "belt": "belt sash",
}
# Class -> groups of words that mean the same and exclude the class's other groups.
CLASSES = {
    "colour": [
        "black",
        "white",
        "grey gray silver",
        "red maroon burgundy",
        "blue navy",
        "green olive",
        "yellow",
        "orange",
        "purple violet",
        "pink",
        "brown tan",
        "beige khaki cream",
        "blond blonde",
    ],
    "length": [
        "short",
        "long",
        "shoulder-length",
        "knee-length",
        "tied tied-up pulled-back ponytail bun braid",
    ],
    "sleeves": ["long-sleeved", "short-sleeved", "sleeveless"],
    "pattern": [
        "plain",
        "striped stripes",
        "checked checkered plaid",
        "dotted polka-dot",
        "printed",
        "floral",
    ],
    "sex": ["man male guy gentleman boy he his him", "woman female lady girl she her"],
    "kind": [
        "trouser pant jean legging slack tight",
        "short",
        "skirt",
        "boot",
        "sandal slipper",
        "sneaker trainer",
    ],
}
NEGATIONS = ("no", "without", "not")
# Characteristic -> groups of nouns that name the same kind of thing.
VARIETIES = {
    "upper body": [
        "t-shirt tshirt tee",
        "shirt blouse polo",
        "sweater pullover jumper sweatshirt cardigan",
        "hoodie hoody",
        "jacket blazer windbreaker",
        "coat overcoat parka",
        "vest",
        "dress",
        "suit uniform",
    ],
    "lower body": [
        "trousers pants slacks trouser pant",
        "jeans jean",
        "shorts",
        "skirt",
        "leggings tights",
    ],
    "shoes": [
        "sneakers sneaker trainers trainer",
        "boots boot",
        "sandals sandal slippers",
        "leather",
        "heels heel",
    ],
    "bag": ["backpack rucksack knapsack", "handbag purse", "bag", "briefcase", "suitcase luggage"],
    "hat": ["hat", "cap", "beanie", "beret", "helmet"],
    "glasses": ["glasses eyeglasses spectacles", "sunglasses"],
}
