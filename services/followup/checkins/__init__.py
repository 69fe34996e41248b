"""Check-ins: what a patient is asked after an infusion, when, what came back, and whether it worries.

A check-in is opened, goes overdue and expires by timer. Answers are stored once, item by item, with the form's code and version.
An answer that worries becomes one task for a person in the same transaction; nothing here ever lowers or closes that.
"""
