"""Commands: parse, call the package, print.  One file a command; none is imported before it is asked for."""
