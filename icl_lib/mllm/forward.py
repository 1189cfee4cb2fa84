"""Forward passes without repeated work: pictures and common prompt beginnings are read once."""

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from icl_lib.data.pictures import Picture, picture_id
from icl_lib.mllm.chat import Chat, batches
from icl_lib.mllm.encoded_pictures import Seen

SHARED_FROM = 1.5  # mean number of texts per picture from which sharing the beginning is faster


def inputs_of(chat: Chat, rendered: Sequence[str], pictures: Sequence[Picture]) -> dict:
    """Left-padded inputs of B rendered prompts, each about its own picture, or all about none."""
    seen = chat.see(pictures)
    if seen is None and pictures:
        return chat.batch_of_pictures(rendered, pictures)
    ordered = [seen[picture_id(picture)] for picture in pictures]
    return chat.batch(chat.tokens(rendered, ordered), ordered)


def last_logits(
    chat: Chat,
    rendered: Sequence[str],
    pictures: Sequence[Picture],
    batch_size: int,
    share: bool = True,
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yields (rows [B], raw fp32 logits [B, V] of their last position) until every row is done.

    With `share`, the texts of one picture read their common beginning once.
    """
    seen = chat.see(pictures)
    if seen is None:
        for rows in batches(_by_length(range(len(rendered)), rendered), batch_size):
            texts = [rendered[row] for row in rows]
            yield (
                rows,
                _logits(chat, chat.batch_of_pictures(texts, [pictures[row] for row in rows])),
            )
        return
    own = [seen[picture_id(picture)] for picture in pictures]
    tokens = chat.tokens(rendered, own)
    same_layout: dict[tuple[int, ...], list[int]] = {}
    for row, picture in enumerate(own):
        same_layout.setdefault(picture.ids, []).append(row)
    for rows in same_layout.values():
        rows = _by_length(rows, tokens)
        pays = share and len(rows) >= SHARED_FROM * len({id(own[row]) for row in rows})
        if pays and (shared := common_beginning(chat, [tokens[row] for row in rows])):
            yield from _after_common_beginning(chat, rows, tokens, own, shared, batch_size)
            continue
        for some in batches(rows, batch_size):
            inputs = chat.batch([tokens[row] for row in some], [own[row] for row in some])
            yield some, _logits(chat, inputs)


def common_beginning(chat: Chat, tokens: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows share; 0 where a picture's placeholders reach beyond them."""
    # Sliding windows and recurrent states cannot be shared between rows.
    if not all(type(layer) is DynamicLayer for layer in _cache(chat).layers):
        return 0
    first = min(tokens)
    last = max(tokens)
    shortest = min(map(len, tokens))
    length = next((i for i in range(shortest) if first[i] != last[i]), shortest)
    length = min(length, shortest - 1)  # at least one token is left to answer from
    image = set(chat.processor.image_token_ids)
    return 0 if any(image & set(own[length:]) for own in tokens) else length


def _after_common_beginning(
    chat: Chat,
    rows: list[int],
    tokens: list[list[int]],
    own: list[Seen],
    shared: int,
    batch_size: int,
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Reads the `shared` tokens once for each picture, then what is left of each row."""
    distinct = list({id(own[row]): own[row] for row in rows}.values())
    # The positions of the longest row, which comes last, are those of every row.
    longest = chat.batch([tokens[rows[-1]]], distinct[:1])
    if "image_grid_thw" in longest:  # Qwen2-VL's 3-D positions [3, 1, L]
        layout, _ = chat.model.model.get_rope_index(**longest)
    else:
        layout = torch.arange(longest["input_ids"].shape[1], device=chat.model.device)[None, None]
    read = []  # keys and values: [batches][layers] of two [P, heads, shared, d]
    for pictures in batches(distinct, batch_size):
        inputs = chat.batch([tokens[rows[0]][:shared]] * len(pictures), pictures)
        past = _cache(chat)
        positions = _axes(layout[:, :, :shared].expand(-1, len(pictures), -1))
        _logits(chat, inputs, position_ids=positions, past_key_values=past)
        read.append([(layer.keys, layer.values) for layer in past.layers])
    kept = [
        tuple(torch.cat(parts) for parts in zip(*layer, strict=True))
        for layer in zip(*read, strict=True)
    ]
    place_of = {id(picture): place for place, picture in enumerate(distinct)}
    for some in batches(rows, batch_size):
        inputs = chat.batch([tokens[row][shared:] for row in some])
        mask = inputs["attention_mask"]
        places = shared + (mask.cumsum(-1) - 1).clamp(min=0)  # [B, S]
        picture = torch.tensor([place_of[id(own[row])] for row in some], device=mask.device)
        past = _cache(chat)
        for number, (keys, values) in enumerate(kept):
            past.update(keys[picture], values[picture], number)
        inputs["attention_mask"] = torch.cat([mask.new_ones(len(some), shared), mask], dim=1)
        positions = _axes(layout[:, 0][:, places])
        yield some, _logits(chat, inputs, position_ids=positions, past_key_values=past)


def _logits(chat: Chat, inputs: dict, **more) -> torch.Tensor:
    out = chat.model(**inputs, **more, use_cache="past_key_values" in more, logits_to_keep=1)
    return out.logits[:, -1].float()


def _cache(chat: Chat) -> DynamicCache:
    return DynamicCache(config=chat.model.config.get_text_config())


def _axes(positions: torch.Tensor) -> torch.Tensor:
    """[3, B, L] for models with 3-D positions, [B, L] for the others."""
    return positions if len(positions) == 3 else positions[0]


def _by_length(rows: Sequence[int], texts: Sequence) -> list[int]:
    return sorted(rows, key=lambda row: len(texts[row]))
