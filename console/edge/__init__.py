"""The edge: one asyncio process that owns the port, reads requests within deadlines, and asks web processes.

With it, a slow or hostile client costs a file descriptor and never a web thread, and the probes share nothing with
pages. See docs/decisions/0012-an-edge-in-front-of-the-web-processes.md.
"""
