"""Interactive person search in a folder of one's own pictures, or in a benchmark's."""
