"""Other engines than DuckDB for a matching job: programs of their own, run by an interpreter that has them."""
