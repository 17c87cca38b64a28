"""What may be done with a dataset or service, by whom, on what terms: agreements, their signatures, their evaluation.

An agreement is one document, stored as the exact bytes both sides signed; every table beside it can be rebuilt.
Promise: what the evaluator does not understand it refuses, and says which term it was.
"""
