"""Yes/No pairs and the candidates that are judged."""

from icl_lib import stages


def test_pairs_never_call_the_same_person_a_negative(params, done):
    pairs = stages.pairs(params, "train")
    assert ((pairs["pid"] == pairs["image_pid"]) == (pairs["label"] == 1)).all()


def test_candidates_are_the_top_k_of_some_queries(params, done):
    top = stages.candidates(params, "test", queries=5)
    assert len(top) == 5 * params.sft.top_k and set(top["label"]) <= {0, 1}
    assert ((top["pid"] == top["image_pid"]) == (top["label"] == 1)).all()
    assert top["rank"].tolist() == 5 * list(range(1, params.sft.top_k + 1))
    for _, query in top.groupby(top.index // params.sft.top_k):
        assert query["sim"].is_monotonic_decreasing and query["caption"].nunique() == 1
