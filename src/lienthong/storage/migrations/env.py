"""Alembic's entry: runs revisions on the connection handed over by ``upgrade``; there is no offline mode."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
