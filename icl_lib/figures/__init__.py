"""Figures, dialogues and tables of a run, saved under results/<profile>/<dataset>/."""

from icl_lib.figures.dialogue import Dialogue
from icl_lib.figures.style import show
from icl_lib.figures.tables import save_table, stored_table, stored_tables

__all__ = ["Dialogue", "save_table", "show", "stored_table", "stored_tables"]
