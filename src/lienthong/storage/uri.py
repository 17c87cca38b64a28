"""Connection strings: whatever form the operator gave, one URI that psycopg, asyncpg and ADBC all read."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict


def with_account(dsn: str, role: str, password: str, dbname: str) -> str:
    """``dsn``'s server (host, port, TLS) with another account and database, as a URI; nothing else is lost."""
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    for replaced in ("user", "password", "passfile", "dbname"):
        parts.pop(replaced, None)
    # Hosts travel in the query part: there a socket folder, an IPv6 address and a list of hosts are all plain text.
    query = urlencode(parts, quote_via=quote, safe="")
    return f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@/{quote(dbname, safe='')}?{query}"
