"""Forward passes that do no work twice: a picture is encoded once, its texts' common beginning read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from icl_lib.data.pictures import Picture, picture_id
from icl_lib.mllm.chat import Chat, batches
from icl_lib.mllm.encoded_pictures import Seen

SHARED_FROM = 1.5  # texts a picture from which reading their common beginning apart pays


def inputs_of(chat: Chat, rendered: Sequence[str], pictures: Sequence[Picture]) -> dict:
    """Left-padded inputs of B rendered prompts, each about its own picture, or all about none."""
    seen = chat.see(pictures)
    if pictures and seen is None:
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
    """Yields (rows [B], raw logits of their last position in fp32 [B, V]) until every row had its turn.

    `share` lets texts of one picture read their common beginning once.
    """
    seen = chat.see(pictures)
    if seen is None:
        order = sorted(range(len(rendered)), key=lambda row: len(rendered[row]))
        for rows in batches(order, batch_size):
            inputs = chat.batch_of_pictures(
                [rendered[row] for row in rows], [pictures[row] for row in rows]
            )
            yield rows, _logits(chat, inputs)
        return
    keys = [picture_id(picture) for picture in pictures]
    tokens = chat.tokens(rendered, [seen[key] for key in keys])
    same_layout: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        same_layout.setdefault(seen[key].words, []).append(row)
    for rows in same_layout.values():
        rows = sorted(rows, key=lambda row: len(tokens[row]))
        pays = share and len(rows) >= SHARED_FROM * len({keys[row] for row in rows})
        if pays and (shared := common_beginning(chat, [tokens[row] for row in rows])):
            yield from _after_common_beginning(chat, rows, tokens, keys, seen, shared, batch_size)
            continue
        for batch in batches(rows, batch_size):
            inputs = chat.batch([tokens[row] for row in batch], [seen[keys[row]] for row in batch])
            positions = chat.positions(inputs)
            yield (
                batch,
                _logits(chat, inputs | ({} if positions is None else {"position_ids": positions})),
            )


def _logits(chat: Chat, inputs: dict) -> torch.Tensor:
    return chat.model(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1].float()


def common_beginning(chat: Chat, tokens: Sequence[Sequence[int]]) -> int:
    """How many first tokens all rows share; 0 where the picture's placeholders reach beyond them."""
    first, last = min(tokens), max(tokens)
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(map(len, tokens)))
    length = min(length, min(map(len, tokens)) - 1)  # one token at least is left to answer from
    image = set(chat.processor.image_token_ids)
    # Sliding windows and recurrent states cannot be handed on row by row.
    past = DynamicCache(config=chat.model.config.get_text_config())
    if not all(type(layer) is DynamicLayer for layer in past.layers):
        return 0
    return 0 if any(image & set(own[length:]) for own in tokens) else length


def _after_common_beginning(
    chat: Chat,
    rows: list[int],
    tokens: list[list[int]],
    keys: list[str],
    seen: dict[str, Seen],
    shared: int,
    batch_size: int,
):
    """Keys and values of the `shared` tokens once a picture [P, heads, shared, d], then each row's rest."""
    distinct = list(dict.fromkeys(keys[row] for row in rows))
    whole = chat.batch(
        [tokens[rows[-1]]], [seen[distinct[0]]]
    )  # the longest row: its positions are everyone's
    layout = chat.positions(whole)
    if layout is None:
        layout = torch.arange(whole["input_ids"].shape[1], device=chat.model.device)[
            None, None
        ]  # [1, 1, L]
    layers: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    for some in batches(distinct, batch_size):
        inputs = chat.batch([tokens[rows[0]][:shared]] * len(some), [seen[key] for key in some])
        past = DynamicCache(config=chat.model.config.get_text_config())
        positions = _axes(layout[:, :, :shared].expand(-1, len(some), -1))
        chat.model(
            **inputs, position_ids=positions, past_key_values=past, use_cache=True, logits_to_keep=1
        )
        layers.append([(layer.keys, layer.values) for layer in past.layers])
    kept = [tuple(torch.cat(parts) for parts in zip(*layer)) for layer in zip(*layers)]
    place_of = {key: place for place, key in enumerate(distinct)}
    for batch in batches(rows, batch_size):
        inputs = chat.batch([tokens[row][shared:] for row in batch])
        mask = inputs["attention_mask"]
        place = shared + (mask.cumsum(-1) - 1).clamp(min=0)  # [B, S]
        own = torch.tensor([place_of[keys[row]] for row in batch], device=mask.device)
        past = DynamicCache(config=chat.model.config.get_text_config())
        for number, (key, value) in enumerate(kept):
            past.update(key[own], value[own], number)
        mask = torch.cat([mask.new_ones(len(batch), shared), mask], dim=1)
        out = chat.model(
            input_ids=inputs["input_ids"],
            attention_mask=mask,
            past_key_values=past,
            use_cache=True,
            position_ids=_axes(layout[:, 0][:, place]),
            logits_to_keep=1,
        )
        yield batch, out.logits[:, -1].float()


def _axes(positions: torch.Tensor) -> torch.Tensor:
    """[3, B, L] for models with 3-D positions, [B, L] for the others."""
    return positions if len(positions) == 3 else positions[0]
