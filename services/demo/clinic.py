"""A clinic of its own for each day: registered by the operator, with a system that holds the key."""

import json
from dataclasses import dataclass
from uuid import UUID

from joserfc.jwk import ECKey

from services import secrets
from services.demo.client import ClinicSystem
from services.demo.product import Product

_SCOPES = (
    "system/Practitioner.cru",
    "system/Patient.cru",
    "system/Consent.cru",
    "system/CarePlan.cru",
    "system/Procedure.cru",
    "system/Observation.cr",
    "system/Task.ru",
    "system/QuestionnaireResponse.r",
    "system/Audit.r",
    "system/Document.cru",
)


@dataclass(frozen=True)
class Clinic:
    """The clinic's id, and its system as a client of the APIs."""

    clinic_id: UUID
    system: ClinicSystem


async def open_clinic(product: Product) -> Clinic:
    """As the operator: register a clinic and its system's key."""
    operator_key = ECKey.import_key(json.loads(secrets.read(product.secrets, "operator-client-key.json")))
    operator = ClinicSystem(product.origin, secrets.OPERATOR_CLIENT, operator_key, secrets.OPERATOR_SCOPES, product.trust)
    operator.patience_seconds = product.pace.patience_seconds
    clinic = await operator.post(
        "/intake/v1/clinics",
        {"name": "Harbor Clinic (demo)", "time_zone": "America/New_York", "phone": "+12025550143", "sender_name": "Harbor Care"},
    )
    key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": "clinic-1"}, private=True)
    client = await operator.post(
        "/intake/v1/clients",
        {
            "clinic_id": clinic["clinic_id"],
            "name": "Demo clinic system",
            "jwks": {"keys": [key.as_dict(private=False)]},
            "scopes": list(_SCOPES),
            "may_act_for_practitioners": True,
        },
    )
    await operator.close()
    system = ClinicSystem(product.origin, client["client_id"], key, _SCOPES, product.trust)
    system.patience_seconds = product.pace.patience_seconds
    return Clinic(UUID(clinic["clinic_id"]), system)
