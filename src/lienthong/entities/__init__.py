"""Who and what records mean: matching jobs run by an engine, entities with stable identifiers, what people decided."""
