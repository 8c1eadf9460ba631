"""Pictures of mechanisms, drawn from the tensors and modules that a lesson runs."""
