"""Web pages: what this node is, what runs, what happened, how to check it.  Rendered on the server, no script needed.

Promises: every page exists in Vietnamese (first) and English, asks nothing of any other host, works from phone to desk
and on paper, and is fed by plain view models, so that it knows neither the database nor the log.
"""
