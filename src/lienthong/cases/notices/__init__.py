"""Notices: whoever is concerned by what happens to a case hears of it on their page, by e-mail and by webhook.

Promises: a notice stands in the outbox in the same transaction as what it tells of; it is carried at least once, and
one thing is never told twice to one person by one way; neither it nor any log line holds the words of a case or a name.
"""
