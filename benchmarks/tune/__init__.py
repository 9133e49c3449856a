"""Equal tuning: the same declared space and the same number of trials for every method, judged on validation only.

space.py       what is searched: `conf/tune/<name>.yaml`, and the sequence of its points
search.py      the trials of a search, planned and run like those of a sweep
validation.py  a record without its test metrics, which is all that a search sees
ranking.py     the order of the trials, and how the best grew
report.py      the tables at the end
named.py       the winning settings as a task config of their own, the search as an evidence pack
__main__.py    the command
"""
