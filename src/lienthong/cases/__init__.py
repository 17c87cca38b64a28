"""Anything with an owner and a legal clock: one noun, whose kinds are dated data (``kinds.toml``).

Promises: a refusal without reason and legal provision is impossible, also for whoever writes SQL; the history of a case
only grows; two who change one case at once do not overwrite each other; a case is seen by who opened it and by the
officers who handle it, and for everybody else there is none.
"""
