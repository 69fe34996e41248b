"""Sessions: the record of each infusion, from booking to discharge, and of the vital signs taken during it.

Owns: infusions with all their versions, and vital signs.
Consumes: what intake says of clinics, patients, consents, courses, clients and practitioners; followup's request to tell again how
an infusion stands.
Emits: ``sessions.infusion.*``, with every fact that follow-up needs to act without asking back, and never a dose or a vital sign.
"""
