"""Who is signed in: sessions of browsers, tokens of programs, sign-ins under way and those that failed."""
