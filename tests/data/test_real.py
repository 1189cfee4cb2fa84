"""A small real data set, where there is one: readers, checks and the pipeline on real files.

Everything is read at run time and written to temporary folders; counts and metrics are printed.
"""

import json
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from icl_lib import load_params, thi
from icl_lib.data import captions, check, fingerprint, images, read_benchmark, read_folder
from icl_lib.data.checks import duplicate_captions, token_lengths
from icl_lib.data.manifest import hold_out
from icl_lib.mllm.load import load_mllm
from icl_lib.retrieval.load import load_backbone
from icl_lib.retrieval.metrics import ranking, retrieval_metrics


def found(table, what, split):
    (value,) = table.loc[(table["check"] == what) & (table["split"] == split), "found"]
    return value


@pytest.fixture(scope="module")
def piece(real):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_benchmark("cuhk", real / "CUHK-PEDES", strict=True, check_pictures=True)


@pytest.fixture(scope="module")
def records(real):
    return json.loads(
        (real / "annotations" / "cuhk_val_test_reid_raw.json").read_text(encoding="utf-8")
    )


@pytest.fixture(scope="module")
def blank(records, tmp_path_factory):
    """CUHK-PEDES' val and test in its own layout, a blank picture in the place of each."""
    folder = tmp_path_factory.mktemp("real") / "CUHK-PEDES"
    (folder / "imgs").mkdir(parents=True)
    Image.new("RGB", (4, 12)).save(folder / "blank.png")
    for path in {record["file_path"] for record in records}:
        place = folder / "imgs" / path
        place.parent.mkdir(exist_ok=True)
        os.link(folder / "blank.png", place)
    (folder / "reid_raw.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def val_test(blank):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_benchmark("cuhk", blank, strict=True)


@pytest.fixture(scope="module")
def checked(val_test):
    return check(val_test, "cuhk")


# the piece with pictures ----------------------------------------


def test_manifest_of_the_piece(piece, real):
    assert (
        len(images(piece, "test")) == 64
        and piece["pid"].nunique() == 16
        and len(captions(piece, "test")) == 123
    )
    assert images(piece).groupby("pid").size().eq(4).all() and sorted(
        piece["pid"].unique()
    ) == list(range(1, 17))
    table = check(piece, "cuhk")
    assert found(table, "picture width, pixels", "all") == "60 / 60 / 60"
    assert found(table, "picture height, pixels", "all") == "160 / 160 / 160"
    assert (
        found(table, "unreadable pictures", "all") == 0
        and found(table, "paths that leave the folder", "all") == 0
    )
    assert len(fingerprint(piece)) == 16
    own = read_folder(real / "CUHK-PEDES" / "imgs", strict=True)
    assert len(images(own)) == 64 and len(captions(own)) == 0


def test_the_pipeline_runs_with_the_shipped_small_models(piece, tmp_path, monkeypatch):
    """Encode, rank, THI, without training: how badly models of drawings do on real people."""
    monkeypatch.setenv(
        "ICL_RESULTS", str(tmp_path / "results")
    )  # MLLM answers are remembered there
    params = load_params("cuhk")
    model, mllm = load_backbone(params), load_mllm(params)
    queries, gallery = captions(piece, "test"), images(piece, "test")
    texts, paths = queries["caption"].tolist(), gallery["path"].tolist()
    pids = queries["pid"].to_numpy(), gallery["pid"].to_numpy()
    text_vectors, image_vectors = model.encode_texts(texts), model.encode_images(paths)
    for vectors, count in ((text_vectors, 123), (image_vectors, 64)):
        assert len(vectors) == count and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    sim = text_vectors @ image_vectors.T
    top, K, lam = sim.max(1), 3, 0.8
    xi = float(np.median(top))
    trace = thi.interact(texts, ranking(sim, K), mllm, K, 0.5, paths, tmp_path / "trace")
    refined, answers = thi.refine(texts, trace, mllm, paths)
    sim_refined = model.encode_texts(refined) @ image_vectors.T
    final, anchor = thi.replay(sim, sim_refined, trace, K, xi, lam)

    assert sim.shape == sim_refined.shape == final.shape == (123, 64) and np.isfinite(final).all()
    assert (
        trace.p_yes.shape == (123, K)
        and (trace.asked >= 1).all()
        and len(refined) == len(answers) == 123
    )
    has = anchor >= 0
    first = trace.first_yes
    assert np.array_equal(
        has, ((first == 0) & (top > xi)) | ((first > 0) & (top <= xi))
    )  # Algorithm 1
    assert [answer is not None for answer in answers] == (first >= 0).tolist()
    assert np.array_equal(final[~has], sim[~has])
    before, after = retrieval_metrics(sim, *pids), retrieval_metrics(final, *pids)
    for metrics in (before, after):
        assert all(0 <= value <= 100 for value in metrics.values())
        assert metrics["rank1"] <= metrics["rank5"] <= metrics["rank10"]
    asked = thi.questions(top, trace, K, xi).sum()
    assert asked <= thi.released_questions(top, trace, K, xi).sum()
    right = (pids[1][anchor[has]] == pids[0][has]).mean() if has.any() else float("nan")
    print(
        "\nModels of drawings on 64 real pictures of 16 people, 123 captions; chance is Rank-1 "
        f"{100 / 16:.1f}"
    )
    for label, metrics in (("before THI", before), ("after THI", after)):
        print(f"  {label:10}", ", ".join(f"{name} {value:.1f}" for name, value in metrics.items()))
    print(f"  {has.sum()} anchors in {asked} questions, {100 * right:.0f}% of them right")


# the annotations of val and test ----------------------------------------


def test_records_captions_and_ids_per_split(val_test, records, checked):
    assert len(records) == 6152 and len(captions(val_test)) == 12_314
    assert val_test["caption"].tolist() == [
        text for record in records for text in record["captions"]
    ]
    table = checked
    counts = table[
        table["check"].isin(["identities", "images", "captions"]) & (table["split"] != "train")
    ]
    assert len(counts) == 6 and set(counts["verdict"]) == {"as published"}
    assert set(table.loc[(table["split"] == "train") & (table["published"] != ""), "verdict"]) == {
        "differs"
    }
    assert (
        found(table, "identities in two splits", "all") == 0
        and found(table, "paths that leave the folder", "all") == 0
    )
    for split, first in (
        ("val", 11_004),
        ("test", 12_004),
    ):  # one numbering over all splits, from 1
        assert sorted(captions(val_test, split)["pid"].unique()) == list(range(first, first + 1000))


def test_duplicates_against_a_slow_count(val_test, checked):
    table = duplicate_captions(val_test)
    for split in ("val", "test"):
        people: dict[str, set] = {}
        said: dict[str, int] = {}
        for row in captions(val_test, split).itertuples():
            words = "".join(
                c if c.isalnum() or c == "_" else " " for c in row.caption.lower()
            ).split()
            people.setdefault(" ".join(words), set()).add(row.pid)
            said[" ".join(words)] = said.get(" ".join(words), 0) + 1
        several = [key for key, pids in people.items() if len(pids) > 1]
        mine = table[table["split"] == split]
        assert len(mine) == len(several) and mine["captions"].sum() == sum(
            said[key] for key in several
        )
        assert found(checked, "captions shared by identities", split) == mine["captions"].sum()
    assert len(table) > 0


def test_token_lengths_and_the_share_that_is_cut(val_test, checked):
    stretched = check(val_test, "ufine")
    for split in ("val", "test"):
        texts = captions(val_test, split)["caption"].tolist()
        tokens = token_lengths(texts)
        assert found(checked, "captions over 77 tokens", split) == (tokens > 77).sum()
        assert 0 < (tokens > 77).mean() < 0.05 and 20 < np.median(tokens) < 40
        assert (tokens[:500] >= [len(text.split()) for text in texts[:500]]).all()
        assert found(stretched, "captions over 168 tokens", split) < (tokens > 77).sum()


def test_the_same_as_caption_all_json(blank, records, val_test):
    """One record per caption, no split: the same pictures, captions, all test, with a warning."""
    flat = [
        {"id": record["id"], "file_path": record["file_path"], "captions": text}
        for record in records
        for text in record["captions"]
    ]
    (blank / "caption_all.json").write_text(json.dumps(flat), encoding="utf-8")
    with pytest.warns(UserWarning, match="it names no split and has one record per caption"):
        table = read_benchmark("cuhk", blank, annotation="caption_all.json")
    assert not any(table.attrs["report"].values()) and set(table["split"]) == {"test"}
    assert table.drop(columns="split").equals(val_test.drop(columns="split"))


def test_a_broken_record_among_the_real_ones_is_found(blank, records, tmp_path):
    bad = [
        {**records[0], "file_path": "../reid_raw.json"},
        {**records[1], "split": "query"},
        {**records[2], "id": records[-1]["id"]},
        {**records[3], "captions": []},
        records[4],
        records[4],
        *records[5:],
    ]
    (blank / "broken.json").write_text(json.dumps(bad), encoding="utf-8")
    with pytest.warns(UserWarning, match="record 0"):
        table = read_benchmark("cuhk", blank, annotation="broken.json")
    counted = {kind: count for kind, count in table.attrs["report"].items() if count}
    assert counted.pop("id_in_two_splits") >= 1 and counted == {
        "unsafe_path": 1, "unknown_split": 1, "no_captions": 1, "duplicate_picture": 1}  # fmt: skip


def test_val_held_out_of_real_people(val_test):
    """With the test split used as train, whole persons move, however many pictures they have."""
    train = val_test[val_test["split"] == "test"].assign(split="train")
    held = hold_out(train, 100)
    assert held.loc[held["split"] == "val", "pid"].nunique() == 100
    assert not set(held.loc[held["split"] == "val", "pid"]) & set(
        held.loc[held["split"] == "train", "pid"]
    )


def test_captions_beside_what_an_mllm_wrote(real):
    """RDA's texts are longer than people's: how many would the text encoder cut?"""
    pairs = json.loads(
        (real / "annotations" / "cuhk_train_human_vs_mllm.json").read_text(encoding="utf-8")
    )
    human, written = (
        token_lengths([pair[key] for pair in pairs]) for key in ("caption", "mllm_caption")
    )
    for who, tokens in (("people", human), ("an MLLM", written)):
        over = 100 * (tokens > 77).mean()
        print(
            f"\n{len(pairs)} captions of {who}: {np.median(tokens):g} tokens, {over:.1f}% over 77"
        )
    assert len(pairs) == 2907 and np.median(written) > np.median(human)
