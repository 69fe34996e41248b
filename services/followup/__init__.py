"""Followup: what has to happen after an infusion, who does it, and what the patient answers.

Owns: plans, care tasks with their history, check-ins with their answers, outgoing messages, and the audit of completeness.
Consumes: every ``sessions.infusion.*``; what intake says of clinics, clients, practitioners, patients, consents and courses.
Emits: ``followup.check-in.submitted``, ``followup.check-in.overdue``, and ``followup.infusion.event-requested`` when an ended infusion
has not got its follow-up.
"""
