"""Clinical documents: numbers, rules and texts that a clinic owns. A release ships a default of each; a clinic writes versions of its own.

A version is never edited. It counts once a second person has signed it, from a time on, and whoever needs it asks for the one in force.
"""
