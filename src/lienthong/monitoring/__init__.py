"""What a node tells about its own work: health as noted between processes, counters, one object a call, traces.

Promises: nothing here names a person (paths are templates, officers and cases stay out); the hot path adds integers in
memory and never waits; everything kept is kept for a dated time.
"""
