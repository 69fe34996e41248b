"""The record of one infusion: its steps, its dose, its versions."""
