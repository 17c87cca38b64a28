"""Changes of a table as events: found by comparison at its provider, followed under an agreement by other nodes.

``compare`` runs in the sandbox, ``feed`` is the provider's side, ``follow`` the subscriber's.
"""
