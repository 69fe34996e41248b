"""Intake: people, consents, courses, and the clients that may call.

Owns      clinics, practitioners, patients, consents, courses, machine clients and the keys that sign access tokens.
Consumes  nothing.
Emits     intake.clinic.changed, intake.client.changed, intake.practitioner.changed, intake.patient.changed, intake.patient.deceased,
          intake.patient.withdrawn, intake.consent.signed, intake.consent.revoked, intake.course.changed.

Names and contact details live in this service's database and nowhere else; others ask the directory when they need them.
"""
