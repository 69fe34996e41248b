"""How people come in to pages of staff: by a one-time link, which opens a session of this browser. For demos and tests only.

Sign-in takes its place; then intake holds the sessions and this slice goes.
"""
