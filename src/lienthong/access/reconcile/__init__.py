"""Do both sides of a use tell the same?  Every record that has a counterpart is compared with the other side's.

Promises: what the other side says counts only with a proof that it lies in its log; a side that is away is asked again
until it answers or the question is too old, and then the reason stands beside it; nobody is told of halves that are
not its own.
"""
