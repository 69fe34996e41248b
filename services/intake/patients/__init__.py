"""Patients: who they are, how they may be reached, and whether they still may be."""
