"""Which rules an attempt was made by: one number that each attempt stores as `rules` among its effective facts.

It is raised where what is fed, paired, counted or scored changes, so that figures of before can be told from those of
after; an attempt without it was made by the first. What changed, and which results that concerns: `earlier`.
"""

#: The first rules, of attempts that say nothing.
FIRST = 1
#: Those that this version measures by.
RULES = 2
