"""Numbers about results: comparisons, intervals, causes of failure, what the paper reports."""
