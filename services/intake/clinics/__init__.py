"""How a clinic presents itself to patients, and the zone it works in."""
