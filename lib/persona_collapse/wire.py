"""What the client and the simulated endpoint agree on beside the OpenAI protocol."""

#: The header that names the first slot of a request, by which the simulated endpoint answers alike whenever asked.
SLOT_HEADER = "X-Persona-Collapse-Slot"
#: How the simulated endpoint signs its answers, so that no page takes them for a model's.
SIMULATED_FINGERPRINT = "fp_simulated"
