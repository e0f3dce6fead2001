"""The room of windows in event time: changes are folded into panes, and what is over is told.

Floors: `core` ◆ says which windows there are and what is in them, `run` folds changes in and tells what is
over. (Tumbling windows of Lambda are of the machine: mapping/window.py.)
"""
