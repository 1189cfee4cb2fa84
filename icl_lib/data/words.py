"""The vocabulary of visible characteristics: nouns, classes, negations."""

# Characteristic (as params/prompts/*.yaml names it) -> its nouns; plural and hyphen do not matter.
NOUNS = {
    "hairstyle": "hair haircut hairstyle ponytail bun braid",
    "upper body": "shirt tshirt tee top jacket coat sweater sweatshirt hoodie pullover jumper blouse vest blazer cardigan "
    "windbreaker parka suit uniform dress",
    "lower body": "trouser pant jean short skirt legging slack tight",
    "shoes": "shoe sneaker trainer boot sandal slipper heel loafer footwear",
    "glasses": "glass sunglass eyeglass spectacle",
    "scarf": "scarf scarve shawl",
    "bag": "bag backpack handbag purse rucksack satchel tote suitcase luggage",
    "hat": "hat cap beanie helmet",
    "belt": "belt waistband sash",
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
