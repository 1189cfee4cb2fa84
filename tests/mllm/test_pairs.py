"""Yes/No pairs with hard negatives are as Eq. 3 says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.mllm.pairs import mine_pairs


def tables(identities=6, each=3, per_image=2, seed=0):
    rng = np.random.default_rng(seed)
    images = pd.DataFrame(
        {
            "image_id": np.arange(identities * each) + 100,
            "pid": np.repeat(np.arange(identities), each),
        }
    )
    images["path"] = [f"/imgs/{i}.png" for i in images["image_id"]]
    captions = images.loc[images.index.repeat(per_image)].reset_index(drop=True)
    captions["caption_id"] = captions.index
    captions["caption"] = [f"caption {i}" for i in captions.index]
    return captions, images, rng.random((len(captions), len(images)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_pairs_are_as_eq_3_says(seed, top_k):
    captions, images, sim = tables(seed=seed)
    pairs = mine_pairs(captions, images, sim, top_k, np.random.default_rng(seed))
    own = captions.set_index("caption")
    column = {path: i for i, path in enumerate(images["path"])}
    for row in pairs.itertuples():
        t, i = own.index.get_loc(row.caption), column[row.path]
        assert row.rank == 1 + (sim[t] > sim[t, i]).sum() and row.pid == own["pid"].iloc[t]
        assert row.image_pid == images["pid"][i]
        if row.label:
            assert row.path == own["path"].iloc[t]
        else:
            assert row.image_pid != row.pid and row.rank <= top_k
    assert (pairs.groupby("caption")["label"].sum() == 1).all() and len(pairs) <= 2 * len(captions)
    assert len(pairs[pairs.label == 1]) == len(captions)


def test_no_negative_where_the_list_holds_only_the_person():
    captions, images, _ = tables()
    sim = (captions["pid"].to_numpy()[:, None] == images["pid"].to_numpy()).astype(float)
    assert (mine_pairs(captions, images, sim, 3)["label"] == 1).all()
    assert (mine_pairs(captions, images, sim, 4)["label"] == 0).sum() == len(captions)


def test_the_same_caption_of_another_identity_is_no_negative():
    captions, images, sim = tables(identities=2, each=1, per_image=1)
    assert (mine_pairs(captions, images, sim)["label"] == 0).sum() == 2
    captions["caption"] = "A man in black."
    assert (mine_pairs(captions, images, sim)["label"] == 1).all()


def test_limit_and_seed():
    captions, images, sim = tables()
    rng = np.random.default_rng
    some = mine_pairs(captions, images, sim, 10, rng(1), limit=5)
    assert some["caption"].nunique() == 5
    pd.testing.assert_frame_equal(some, mine_pairs(captions, images, sim, 10, rng(1), limit=5))
    assert not some.equals(mine_pairs(captions, images, sim, 10, rng(2), limit=5))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_each_draw_takes_another_negative_while_there_is_one(seed, draws):
    captions, images, sim = tables(seed=seed)
    pairs = mine_pairs(captions, images, sim, 6, np.random.default_rng(seed), draws=draws)
    for text, rows in pairs.groupby("caption"):
        own = captions.loc[captions["caption"] == text, "pid"].iloc[0]
        top = np.argsort(-sim[captions.index[captions["caption"] == text][0]])[:6]
        others = int((images["pid"].to_numpy()[top] != own).sum())
        told = rows[rows["label"] == 0]
        assert rows["label"].sum() == draws and len(told) == (draws if others else 0)
        assert told["path"].nunique() == min(draws, others)


def test_wrong_shapes_are_refused():
    captions, images, sim = tables()
    with pytest.raises(ValueError, match="36 captions and 18 images"):
        mine_pairs(captions, images, sim[:3])
    with pytest.raises(ValueError, match="image_id 100, which is not in"):
        mine_pairs(captions, images.iloc[1:], sim[:, 1:])
