"""Who a person is and may do: persons, accounts, sessions, sign-in, roles, tokens, two-person approval, audit.

Promises: a role gives rights by one table (``rights``), for the person's own member alone; nobody gives a role, or
makes another change of trust, alone (``approvals``); every administrative act is put down where nobody can take it
back (``audit``); of passwords, sessions, links and tokens only hashes are kept; nothing personal is logged.
"""
