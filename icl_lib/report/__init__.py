"""What a run shows: figures, dialogues and tables, saved under results/<profile>/<dataset>/."""

from icl_lib.report.dialogue import Dialogue
from icl_lib.report.style import show
from icl_lib.report.tables import paper_results, paper_table, save_table, stored_table

__all__ = ["Dialogue", "paper_results", "paper_table", "save_table", "show", "stored_table"]
