"""The gateway between nodes: calling another member's service, serving one's own, X-Road's client interface.

Promises: malformed HTTP never reaches the code behind a listener; a peer is known by the certificate the directory
lists, on every request; an answer is read within limits and a deadline or not at all; nothing is sent twice unless
its caller signed it anew.
"""
