"""What a run shows: figures, dialogues and tables, saved under results/<profile>/<dataset>/."""

from icl_lib.analysis.paper import paper_results, paper_table
from icl_lib.figures.dialogue import Dialogue
from icl_lib.figures.style import show
from icl_lib.figures.tables import save_table, stored_table

__all__ = ["Dialogue", "paper_results", "paper_table", "save_table", "show", "stored_table"]
