"""What the kit saves against the released code's way of working, and how far a gallery can grow.

`released` does the work in the released code's way; `evaluating` and `training` add the kit's
savings to it one by one; `metrics_memory` weighs the metrics; `deciding` compares reading P(Yes)
with generating an answer; `latency` times one query part by part; `galleries` compares FAISS
indexes at scale.
"""
