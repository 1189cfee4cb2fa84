"""What the kit's way of computing saves over the released code's, re-created here, and galleries at scale.

`ways` encodes and ranks, `epochs` trains, `cost` weighs the metrics in a process of their own, `scale` grows
galleries.
"""
