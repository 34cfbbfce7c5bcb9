"""How far apart two times have to be to count as different: predicted ones, and measured ones."""

NEAR = 1.05
"""Predictions within this factor are equal, and memory, copies and accuracy decide. Over 117
measured choices the rule loses 4.2 % against the best plan; other bands lose 3.7 to 4.8 %."""

CLEARLY = 1.05
"""A program is called faster, or chosen over one that is needed anyway, beyond this factor only:
in those 117 choices the predicted order is right to about 4 % in the mean."""

TIED = NEAR * CLEARLY
"""How far a plan may be from the best predicted time at a requested size: one factor for the ties
of `NEAR`, another where a program that is there already serves again."""

SLIGHT = 1.1
"""A branch for sizes that nobody requested has to gain more than this: twice the error above, since
both sides of the comparison are predicted."""

LEANER = 0.8
"""A loop over chunks that is no faster than the whole batch at once, but near, is taken where its
peak memory is at most this share: it is longer source, and measured 2 to 6 % slower."""

ALIKE = 1.02
"""Estimates corrected by measurements are equal within this factor: the correction takes the common
error of predictions away, what remains is the spread of medians."""

HOPELESS = 1.1
"""Stop timing a program once its best reading exceeds this multiple of the fastest median. The best
reading is below the median, so that a program so slow does not become the fastest."""
